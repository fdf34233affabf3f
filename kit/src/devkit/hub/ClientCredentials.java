package devkit.hub;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.internals.secured.BasicOAuthBearerToken;
import org.jose4j.jws.AlgorithmIdentifiers;
import org.jose4j.jws.JsonWebSignature;
import org.jose4j.jwt.JwtClaims;
import org.jose4j.jwt.consumer.JwtConsumer;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.keys.HmacKey;
import org.jose4j.lang.JoseException;

/**
 * Lets an application in as Event Hubs does with Microsoft Entra: it asks the token endpoint for a token by its id and
 * its secret, and the broker checks the token. The endpoint ends with the broker; tokens outlive a restart.
 *
 * Compiled by Janino: plain Java 8 without lambdas.
 */
public class ClientCredentials implements AuthenticateCallbackHandler, HttpHandler {
    private static final int LIFETIME_SECONDS = 3600;
    private static HttpServer endpoint;
    private String wanted;
    private HmacKey key;

    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        String secret = (String) configs.get("devkit.client.secret");
        wanted = configs.get("devkit.client.id") + ":" + secret;
        key = new HmacKey(secret.getBytes(StandardCharsets.UTF_8));
        serve(Integer.parseInt((String) configs.get("devkit.token.port")), this);
    }

    /** Starts the endpoint, once: each network thread of the broker configures a handler of its own. */
    private static synchronized void serve(int port, HttpHandler handler) {
        if (endpoint != null) {
            return;
        }
        try {
            endpoint = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        } catch (IOException error) {
            throw new IllegalStateException("the token endpoint cannot have port " + port, error);
        }
        endpoint.createContext("/", handler);
        endpoint.start();
    }

    /** Answers one request for a token. */
    public void handle(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().readAllBytes();
        String answer = "{\"error\": \"invalid_client\"}";
        int status = 401;
        try {
            String header = exchange.getRequestHeaders().getFirst("Authorization");
            byte[] given = Base64.getDecoder().decode(header == null ? "" : header.replaceFirst("^Basic ", ""));
            if (MessageDigest.isEqual(wanted.getBytes(StandardCharsets.UTF_8), given)) {
                answer = "{\"token_type\": \"Bearer\", \"expires_in\": " + LIFETIME_SECONDS
                    + ", \"access_token\": \"" + token() + "\"}";
                status = 200;
            }
        } catch (IllegalArgumentException notBase64) {
            status = 400;
        } catch (JoseException error) {
            throw new IOException(error);
        }
        byte[] body = answer.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private String token() throws JoseException {
        JwtClaims claims = new JwtClaims();
        claims.setSubject(wanted.substring(0, wanted.indexOf(':')));
        claims.setIssuedAtToNow();
        claims.setExpirationTimeMinutesInTheFuture(LIFETIME_SECONDS / 60f);
        JsonWebSignature signature = new JsonWebSignature();
        signature.setPayload(claims.toJson());
        signature.setAlgorithmHeaderValue(AlgorithmIdentifiers.HMAC_SHA256);
        signature.setKey(key);
        return signature.getCompactSerialization();
    }

    /** Checks the token of a client that signs in to the broker. */
    public void handle(Callback[] callbacks) {
        JwtConsumer consumer =
            new JwtConsumerBuilder().setVerificationKey(key).setRequireExpirationTime().setRequireSubject().build();
        for (int i = 0; i < callbacks.length; i++) {
            if (!(callbacks[i] instanceof OAuthBearerValidatorCallback)) {
                continue; // extensions, of which Event Hubs knows none
            }
            OAuthBearerValidatorCallback callback = (OAuthBearerValidatorCallback) callbacks[i];
            try {
                JwtClaims claims = consumer.processToClaims(callback.tokenValue());
                long expires = claims.getExpirationTime().getValueInMillis();
                callback.token(new BasicOAuthBearerToken(
                    callback.tokenValue(), Collections.emptySet(), expires, claims.getSubject(), null));
            } catch (Exception refused) {
                callback.error("invalid_token", null, null);
            }
        }
    }

    public void close() {}
}
