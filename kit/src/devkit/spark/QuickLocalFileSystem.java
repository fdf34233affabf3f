package devkit;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermission;
import java.util.EnumSet;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.ChecksumFs;
import org.apache.hadoop.fs.DelegateToFileSystem;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsServerDefaults;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.local.LocalConfigKeys;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * Hadoop's file system of this machine, without a process for each change of permissions and each look at a link.
 *
 * <p>Hadoop asks its native library for these, which pyspark does not bring along, and else runs `chmod` and `readlink`:
 * 70 processes for the first micro-batch into a Delta table, 52 for each further one. Everything else,
 * checksum files too, is Hadoop's own.
 */
public final class QuickLocalFileSystem extends LocalFileSystem {
    public QuickLocalFileSystem() {
        super(new Raw());
    }

    static class Raw extends RawLocalFileSystem {
        private String[] roots = {};

        public void initialize(URI uri, Configuration conf) throws IOException {
            super.initialize(uri, conf);
            roots = conf.get("devkit.paths", "").split("=|;"); // see devkit.databricks.paths
        }

        /** A path of Databricks, such as `/Volumes/…`, lies in its folder, unless this machine has such a path itself. */
        public File pathToFile(Path path) {
            File own = super.pathToFile(path);
            File found = inFolder(path.toUri().getPath());
            return found == null || isOfThisMachine(own.toPath()) ? own : found;
        }

        final File inFolder(String text) {
            for (int i = 0; i + 1 < roots.length; i += 2) {
                if ((text + "/").startsWith(roots[i])) {
                    return new File(new File(URI.create(roots[i + 1])), (text + "/").substring(roots[i].length()));
                }
            }
            return null;
        }

        static boolean isOfThisMachine(java.nio.file.Path path) {
            return path.getNameCount() > 1 && Files.exists(path.getRoot().resolve(path.subpath(0, 2)));
        }

        /** Tells of a file by the path that was asked for, not by the one of its folder. */
        public FileStatus getFileStatus(Path path) throws IOException {
            FileStatus found = super.getFileStatus(path);
            Path asked = makeQualified(path);
            return found.getPath().equals(asked) ? found : new FileStatus(found.getLen(), found.isDirectory(), 1,
                found.getBlockSize(), found.getModificationTime(), asked);
        }

        public FileStatus[] listStatus(Path path) throws IOException {
            return pathToFile(path).isFile() ? new FileStatus[] {getFileStatus(path)} : super.listStatus(path);
        }

        /** The folder of a root may not be there yet. */
        protected boolean mkOneDirWithMode(Path path, File folder, FsPermission permission) throws IOException {
            if (folder.getParentFile() != null) {
                folder.getParentFile().mkdirs();
            }
            return super.mkOneDirWithMode(path, folder, permission);
        }

        public void setPermission(Path path, FsPermission permission) throws IOException {
            short bits = permission.toShort();
            if (bits > 0777) {
                super.setPermission(path, permission); // a sticky bit, which Java does not know
                return;
            }
            Set granted = EnumSet.noneOf(PosixFilePermission.class);
            PosixFilePermission[] all = PosixFilePermission.values(); // owner, group, others: read, write, execute
            for (int i = 0; i < all.length; i++) {
                if ((bits >> (8 - i) & 1) == 1) {
                    granted.add(all[i]);
                }
            }
            try {
                Files.setPosixFilePermissions(pathToFile(path).toPath(), granted);
            } catch (UnsupportedOperationException noSuchPermissions) {
                super.setPermission(path, permission);
            }
        }

        public FileStatus getFileLinkStatus(Path path) throws IOException {
            return Files.isSymbolicLink(pathToFile(path).toPath()) ? super.getFileLinkStatus(path) : getFileStatus(path);
        }
    }

    /** The same behind Hadoop's other interface, `FileContext`, which Delta's log and checkpoints are written by. */
    public static final class Abstract extends ChecksumFs {
        Abstract(URI uri, Configuration conf) throws IOException, URISyntaxException {
            super(new RawAbstract(uri, conf));
        }
    }

    /** A file system behind that interface, with what Hadoop takes by default for one of this machine. */
    static class Delegate extends DelegateToFileSystem {
        Delegate(URI uri, FileSystem behind, Configuration conf) throws IOException, URISyntaxException {
            super(uri, behind, conf, uri.getScheme(), false);
        }

        public int getUriDefaultPort() {
            return -1;
        }

        public FsServerDefaults getServerDefaults(Path path) throws IOException {
            return LocalConfigKeys.getServerDefaults();
        }

        public FsServerDefaults getServerDefaults() throws IOException {
            return LocalConfigKeys.getServerDefaults();
        }
    }

    static final class RawAbstract extends Delegate {
        RawAbstract(URI uri, Configuration conf) throws IOException, URISyntaxException {
            super(uri, new Raw(), conf);
        }

        public boolean isValidName(String name) {
            return true;
        }
    }
}
