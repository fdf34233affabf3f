package devkit.catalog;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FilterFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.read.Scan;

/**
 * The volumes of a catalog: folders {@code VOLUMES/CATALOG/SCHEMA/NAME}, which the paths {@code /Volumes/…} mean.
 *
 * <p>An external one is a link to where its location lies here. Comment and location stand in {@code .NAME.json} beside it.
 */
final class Volumes {
    static final String ROOT = "spark.devkit.volumes"; // paths find it by a setting of their own, devkit.databricks.paths

    private final Folders catalog;

    Volumes(Folders catalog) {
        this.catalog = catalog;
    }

    Scan run(String statement, Map said) {
        String schema = (String) said.get("schema");
        String name = (String) said.get("name");
        if (!catalog.hasSchema(schema)) {
            throw new IllegalArgumentException("schema '" + catalog.name() + "." + schema + "' does not exist");
        }
        if ("show volumes".equals(statement)) {
            return shown(schema, (String) said.get("pattern"));
        }
        String whole = "'" + catalog.name() + "." + schema + "." + name + "'";
        File folder = Folders.inFolder(folder(schema), name);
        boolean isQuiet = "true".equals(said.get("quiet"));
        if ("create volume".equals(statement)) {
            create(folder, said, isQuiet, whole);
        } else if (!folder.isDirectory()) {
            if (!isQuiet) {
                throw new IllegalArgumentException("volume " + whole + " does not exist");
            }
        } else if ("drop volume".equals(statement)) {
            Folders.delete(folder);
            comment(folder).delete();
        } else {
            Map told = told(folder);
            return new Rows("name STRING, catalog STRING, database STRING, owner STRING, storageLocation STRING,"
                + " volumeType STRING, comment STRING").add(new Object[] {folder.getName(), catalog.name(), schema,
                InformationSchema.USER, told.get("location"), told.get("type"), told.get("comment")});
        }
        return null;
    }

    private void create(File folder, Map said, boolean isQuiet, String whole) {
        String location = (String) said.get("location");
        if ("true".equals(said.get("external")) != (location != null)) {
            throw new IllegalArgumentException("an external volume needs EXTERNAL and LOCATION: " + whole);
        }
        if (folder.isDirectory()) {
            if (!isQuiet) {
                throw new IllegalArgumentException("volume " + whole + " already exists");
            }
            return;
        }
        catalog.checked(folder.getName());
        if (location == null) {
            folder.mkdirs();
        } else {
            link(folder, new Path(location), whole);
        }
        if (said.get("comment") != null || location != null) {
            Map content = new HashMap();
            content.put("comment", said.get("comment"));
            content.put("location", location);
            Folders.write(comment(folder), content);
        }
    }

    private static void link(File folder, Path location, String whole) {
        try {
            FileSystem files = location.getFileSystem(SparkSession.active().sessionState().newHadoopConf());
            FileSystem raw = files instanceof FilterFileSystem ? ((FilterFileSystem) files).getRawFileSystem() : files;
            if (!(raw instanceof RawLocalFileSystem)) {
                throw new IllegalArgumentException("the volume " + whole + " cannot lie at " + location
                    + ", which is no folder of this machine: read its files by their own path");
            }
            File target = ((RawLocalFileSystem) raw).pathToFile(location).getAbsoluteFile();
            target.mkdirs();
            folder.getParentFile().mkdirs();
            Files.createSymbolicLink(folder.toPath(), target.toPath());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private Scan shown(String schema, String pattern) {
        Rows rows = new Rows("database STRING, volumeName STRING");
        List folders = folders(schema);
        for (int i = 0; i < folders.size(); i++) {
            String name = ((File) folders.get(i)).getName();
            if (Statement.isLike(name, pattern)) {
                rows.add(new Object[] {schema, name});
            }
        }
        return rows;
    }

    /** The folders of a schema's volumes, sorted. */
    List folders(String schema) {
        List found = new ArrayList();
        File[] listed = Folders.list(folder(schema));
        for (int i = 0; i < listed.length; i++) {
            if (listed[i].isDirectory() && !listed[i].getName().startsWith(".")) {
                found.add(listed[i]);
            }
        }
        return found;
    }

    /** Comment, location and type of a volume. */
    static Map told(File folder) {
        Map told = Folders.read(comment(folder));
        told.put("type", told.get("location") == null ? "MANAGED" : "EXTERNAL");
        told.putIfAbsent("location", folder.getPath());
        return told;
    }

    private static File comment(File folder) {
        return new File(folder.getParentFile(), "." + folder.getName() + ".json");
    }

    /** Delete the volumes of a schema, or of the catalog. */
    void drop(String schema) {
        Folders.delete(schema == null ? folder("x").getParentFile() : folder(schema));
    }

    private File folder(String schema) {
        File root = new File(SparkSession.active().conf().get(ROOT));
        return Folders.inFolder(Folders.inFolder(root, catalog.name()), schema);
    }
}
