package devkit.hub;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.plain.PlainAuthenticateCallback;

/**
 * Lets a client in as Event Hubs does: the user is `$ConnectionString`, the password a connection string, and what
 * counts in it are the key's name and the key, not which hub (EntityPath) it names or how its parts are ordered.
 * Kafka's own handler compares whole passwords, and knows one per user.
 *
 * Compiled by Janino when a hub is set up (a Java runtime has no compiler), so: plain Java 8 without lambdas.
 */
public class ConnectionStringAuthentication implements AuthenticateCallbackHandler {
    private String keyName;
    private String key;

    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        Map<String, ?> options = ((AppConfigurationEntry) entries.get(0)).getOptions();
        keyName = (String) options.get("shared_access_key_name");
        key = (String) options.get("shared_access_key");
    }

    public void handle(Callback[] callbacks) {
        String user = null;
        for (int i = 0; i < callbacks.length; i++) {
            if (callbacks[i] instanceof NameCallback) {
                user = ((NameCallback) callbacks[i]).getDefaultName();
            } else if (callbacks[i] instanceof PlainAuthenticateCallback) {
                PlainAuthenticateCallback callback = (PlainAuthenticateCallback) callbacks[i];
                callback.authenticated("$ConnectionString".equals(user) && holdsTheKey(new String(callback.password())));
            }
        }
    }

    private boolean holdsTheKey(String connectionString) {
        String foundName = "";
        String foundKey = "";
        String[] parts = connectionString.split(";");
        for (int i = 0; i < parts.length; i++) {
            int equals = parts[i].indexOf('=');
            String name = equals < 0 ? "" : parts[i].substring(0, equals).trim();
            if (name.equalsIgnoreCase("SharedAccessKeyName")) {
                foundName = parts[i].substring(equals + 1).trim();
            } else if (name.equalsIgnoreCase("SharedAccessKey")) {
                foundKey = parts[i].substring(equals + 1).trim();
            }
        }
        return keyName.equals(foundName) && same(key, foundKey);
    }

    /** Takes the same time wherever the two differ. */
    private static boolean same(String wanted, String found) {
        return MessageDigest.isEqual(wanted.getBytes(StandardCharsets.UTF_8), found.getBytes(StandardCharsets.UTF_8));
    }

    public void close() {}
}
