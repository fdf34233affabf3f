package devkit.catalog;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.connector.catalog.Identifier;

/**
 * The folders of one catalog: what is a schema, a table and a view, and where each lies.
 *
 * <p>{@code ROOT/CATALOG/SCHEMA/TABLE/_delta_log} makes a table, whoever wrote it. What has no files of its own stands
 * in {@code SCHEMA/_catalog/}: {@code NAME.view.json}, {@code NAME.function.json}, {@code NAME.external.json} (a table
 * somewhere else) and {@code schema.json} (properties). Names are compared without regard to case, as Spark compares them.
 */
final class Folders {
    static final String DEFAULT = "default";

    private static final ObjectMapper JSON = new ObjectMapper();
    static final String VIEW = ".view.json";
    private static final String EXTERNAL = ".external.json";
    static final String FUNCTION = ".function.json";

    private final File catalog;

    private Folders(File catalog) {
        this.catalog = catalog;
    }

    static Folders of(String root, String catalog) {
        return new Folders(new File(root, catalog).getAbsoluteFile());
    }

    File root() {
        return catalog.getParentFile();
    }

    String name() {
        return catalog.getName();
    }

    /** The folders of every catalog beside this one, and of this one. */
    List catalogs() {
        List found = new ArrayList();
        File[] listed = list(root());
        for (int i = 0; i < listed.length; i++) {
            if (listed[i].isDirectory() && isName(listed[i].getName())) {
                found.add(new Folders(listed[i]));
            }
        }
        return found;
    }

    // ---- Schemas

    List schemas() {
        List found = new ArrayList();
        if (!schema(DEFAULT).isDirectory()) {
            found.add(DEFAULT); // is there from the start, its folder from its first table on
        }
        File[] listed = list(catalog);
        for (int i = 0; i < listed.length; i++) {
            if (listed[i].isDirectory() && isName(listed[i].getName())) {
                found.add(listed[i].getName());
            }
        }
        return found;
    }

    boolean hasSchema(String name) {
        return isName(name) && (DEFAULT.equalsIgnoreCase(name) || schema(name).isDirectory());
    }

    File schema(String name) {
        return inFolder(catalog, name);
    }

    void createSchema(String name) {
        checked(name);
        create(new File(catalog, name));
    }

    boolean dropSchema(String name) {
        return delete(schema(name));
    }

    Map properties(String schema) {
        return read(new File(schema(schema), "_catalog/schema.json"));
    }

    void setProperties(String schema, Map properties) {
        write(new File(schema(schema), "_catalog/schema.json"), properties);
    }

    // ---- Tables and views

    /** The names of tables and views, sorted. */
    List names(String schema) {
        List found = new ArrayList();
        File[] listed = list(schema(schema));
        for (int i = 0; i < listed.length; i++) {
            if (isName(listed[i].getName()) && isTable(listed[i])) {
                found.add(listed[i].getName());
            }
        }
        listed = list(new File(schema(schema), "_catalog"));
        for (int i = 0; i < listed.length; i++) {
            String file = listed[i].getName();
            String ending = file.endsWith(VIEW) ? VIEW : file.endsWith(EXTERNAL) ? EXTERNAL : null;
            if (ending != null) {
                found.add(file.substring(0, file.length() - ending.length()));
            }
        }
        Collections.sort(found);
        return found;
    }

    /** The path of a table's files, or null. */
    String table(Identifier ident) {
        File schema = schema(ident.namespace()[0]);
        File external = file(ident, EXTERNAL);
        if (external.isFile()) {
            return (String) read(external).get("location");
        }
        File own = inFolder(schema, ident.name());
        return isName(ident.name()) && isTable(own) ? own.getPath() : null;
    }

    /** Choose the path of a new table; a location outside of this catalog is remembered. */
    String place(Identifier ident, String location) {
        String existing = table(ident);
        if (existing != null) {
            return existing;
        }
        checked(ident.name());
        if (location == null) {
            return new File(schema(ident.namespace()[0]), ident.name()).getPath();
        }
        Map content = new HashMap();
        content.put("location", location);
        write(file(ident, EXTERNAL), content);
        return location;
    }

    View view(Identifier ident) {
        return kept(ident, VIEW);
    }

    View function(Identifier ident) {
        return kept(ident, FUNCTION);
    }

    private View kept(Identifier ident, String kind) {
        File file = file(ident, kind);
        return file.isFile() ? new View(read(file), file) : null;
    }

    /** Keep a view or a function; the kind is {@link #VIEW} or {@link #FUNCTION}. */
    void keep(Identifier ident, String kind, Map content) {
        checked(ident.name());
        write(file(ident, kind), content);
    }

    boolean forget(Identifier ident, String kind) {
        return file(ident, kind).delete();
    }

    List functions(String schema) {
        List found = new ArrayList();
        File[] listed = list(new File(schema(schema), "_catalog"));
        for (int i = 0; i < listed.length; i++) {
            if (listed[i].getName().endsWith(FUNCTION)) {
                found.add(listed[i].getName().substring(0, listed[i].getName().length() - FUNCTION.length()));
            }
        }
        return found;
    }

    /** Forget a table; its files go too unless they lie somewhere else. */
    boolean dropTable(Identifier ident) {
        if (table(ident) == null) {
            return false;
        }
        return file(ident, EXTERNAL).delete() || delete(new File(table(ident)));
    }

    void rename(Identifier from, Identifier to) {
        checked(to.name());
        File external = file(from, EXTERNAL);
        File target = external.isFile()
            ? file(to, EXTERNAL)
            : new File(schema(to.namespace()[0]), to.name());
        move(external.isFile() ? external : new File(table(from)), target);
    }

    private File file(Identifier ident, String ending) {
        return inFolder(new File(schema(ident.namespace()[0]), "_catalog"), ident.name() + ending);
    }

    private static boolean isTable(File folder) {
        return new File(folder, "_delta_log").isDirectory();
    }

    // ---- Files

    /** Return whether a folder of this name can be a schema or a table: no path, and none of our own files. */
    private static boolean isName(String name) {
        return !name.isEmpty() && !name.startsWith("_") && !name.startsWith(".")
            && name.indexOf('/') < 0 && name.indexOf(File.separatorChar) < 0;
    }

    /** Refuse a name that no folder can have, and every name in the catalog of what is made of all the others. */
    void checked(String name) {
        if (InformationSchema.SYSTEM.equalsIgnoreCase(name())) {
            throw new UnsupportedOperationException(
                "the catalog system holds information_schema alone: create '" + name + "' in another one, such as main");
        }
        if (!isName(name)) {
            throw new IllegalArgumentException(
                "invalid name: '" + name + "'. A name has no slash and does not start with a dot or an underscore.");
        }
    }

    /** The file of this name, in whichever case it is written there. */
    static File inFolder(File folder, String name) {
        File exact = new File(folder, name);
        if (exact.exists()) {
            return exact;
        }
        File[] listed = list(folder);
        for (int i = 0; i < listed.length; i++) {
            if (listed[i].getName().equalsIgnoreCase(name)) {
                return listed[i];
            }
        }
        return exact;
    }

    static File[] list(File folder) {
        File[] listed = folder.listFiles();
        if (listed == null) {
            return new File[0];
        }
        java.util.Arrays.sort(listed);
        return listed;
    }

    static Map read(File file) {
        if (!file.isFile()) {
            return new HashMap();
        }
        try {
            return (Map) JSON.readValue(file, HashMap.class);
        } catch (IOException error) {
            throw new UncheckedIOException("cannot read " + file, error);
        }
    }

    /** Write a file so that a reader in another process sees the old content or the new, never a half. */
    static void write(File file, Object content) {
        try {
            create(file.getParentFile());
            Path draft = Files.createTempFile(file.getParentFile().toPath(), ".", ".tmp");
            Files.write(draft, JSON.writeValueAsBytes(content));
            Files.move(draft, file.toPath(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException error) {
            throw new UncheckedIOException("cannot write " + file, error);
        }
    }

    private static void create(File folder) {
        try {
            Files.createDirectories(folder.toPath());
        } catch (IOException error) {
            throw new UncheckedIOException("cannot create " + folder, error);
        }
    }

    private static void move(File from, File to) {
        try {
            create(to.getParentFile());
            Files.move(from.toPath(), to.toPath());
        } catch (IOException error) {
            throw new UncheckedIOException("cannot rename " + from + " to " + to, error);
        }
    }

    static boolean delete(File file) {
        if (!Files.isSymbolicLink(file.toPath())) {
            File[] listed = list(file);
            for (int i = 0; i < listed.length; i++) {
                delete(listed[i]);
            }
        }
        return file.delete();
    }
}
