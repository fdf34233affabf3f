package devkit.autoloader;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;

/** The inferred schema beneath {@code cloudFiles.schemaLocation}: {@code _schemas/0}, and a file more for each change. */
final class KeptSchema {
    private final Path folder;
    private final FileSystem files;

    KeptSchema(String location, Configuration hadoop) throws IOException {
        folder = new Path(location, "_schemas");
        files = folder.getFileSystem(hadoop);
    }

    /** Return the newest schema, or null. */
    StructType read() throws IOException {
        int newest = count() - 1;
        if (newest < 0) {
            return null;
        }
        Path file = new Path(folder, Integer.toString(newest));
        byte[] content = new byte[(int) files.getFileStatus(file).getLen()];
        FSDataInputStream input = files.open(file);
        try {
            input.readFully(0, content);
        } finally {
            input.close();
        }
        return (StructType) DataType.fromJson(new String(content, StandardCharsets.UTF_8));
    }

    void write(StructType schema) throws IOException {
        Path draft = new Path(folder, "." + java.util.UUID.randomUUID());
        FSDataOutputStream output = files.create(draft);
        try {
            output.write(schema.json().getBytes(StandardCharsets.UTF_8));
        } finally {
            output.close();
        }
        files.rename(draft, new Path(folder, Integer.toString(count())));
    }

    private int count() throws IOException {
        if (!files.exists(folder)) {
            return 0;
        }
        int count = 0;
        FileStatus[] found = files.listStatus(folder);
        for (int i = 0; i < found.length; i++) {
            count += found[i].getPath().getName().startsWith(".") ? 0 : 1;
        }
        return count;
    }
}
