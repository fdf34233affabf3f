package devkit;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FilterFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.ReflectionUtils;

/**
 * `dbfs:/…` and `abfss://…` in folders of this machine; see devkit.databricks.paths.
 *
 * <p>A session that was told how to sign in to a storage account means the account.
 */
public final class FolderFileSystem extends FilterFileSystem {
    private static final Set TOLD = Collections.synchronizedSet(new HashSet());
    private static final String AZURE = "org.apache.hadoop.fs.azurebfs.SecureAzureBlobFileSystem";

    public void initialize(URI uri, Configuration conf) throws IOException {
        boolean signsIn = "abfss".equals(uri.getScheme()) && !conf.getPropsWithPrefix("fs.azure.account.").isEmpty();
        fs = signsIn ? (FileSystem) ReflectionUtils.newInstance(conf.getClassByNameOrNull(AZURE), conf) : new Folders();
        fs.initialize(uri, conf);
        super.initialize(uri, conf);
        if (fs instanceof Folders && uri.getAuthority() != null && TOLD.add(uri.getAuthority())) {
            System.err.println(uri.getScheme() + "://" + uri.getAuthority() + " lies in " + ((Folders) fs).pathToFile(new Path("/"))
                + " here: this session signs in to no account");
        }
    }

    static final class Folders extends QuickLocalFileSystem.Raw {
        private URI uri;

        public void initialize(URI name, Configuration conf) throws IOException {
            super.initialize(name, conf);
            uri = URI.create(name.getScheme() + "://" + (name.getAuthority() == null ? "" : name.getAuthority()) + "/");
            setWorkingDirectory(new Path("/"));
        }

        public URI getUri() {
            return uri == null ? super.getUri() : uri; // the constructor of Hadoop's class asks for it
        }

        public File pathToFile(Path path) {
            URI whole = makeQualified(path).toUri();
            String host = whole.getAuthority() == null ? "" : "//" + whole.getAuthority();
            File found = inFolder(whole.getScheme() + ":" + host + whole.getPath());
            if (found == null) {
                throw new IllegalArgumentException("spark.hadoop.devkit.paths names no folder for " + path);
            }
            return found;
        }
    }

    /** The same behind Hadoop's other interface, `FileContext`. */
    public static final class Abstract extends QuickLocalFileSystem.Delegate {
        Abstract(URI uri, Configuration conf) throws IOException, URISyntaxException {
            super(uri, new FolderFileSystem(), conf);
        }
    }
}
