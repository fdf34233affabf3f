package devkit.catalog;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.procedures.BoundProcedure;
import org.apache.spark.sql.connector.catalog.procedures.ProcedureParameter;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The procedure that {@link CatalogParser} turns statements into: it runs when the statement runs, not when it is read. */
final class Statement implements UnboundProcedure, BoundProcedure {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String GRANT = "Principal STRING, ActionType STRING, ObjectType STRING, ObjectKey STRING";

    private final Folders catalog;

    private Statement(Folders catalog) {
        this.catalog = catalog;
    }

    static UnboundProcedure procedure(Folders catalog, Identifier ident) {
        if (!"statement".equals(ident.name())) {
            throw new IllegalArgumentException("unknown procedure: " + ident);
        }
        return new Statement(catalog);
    }

    static String write(Object value) {
        try {
            return JSON.writeValueAsString(value);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    public String name() {
        return "statement";
    }

    public String description() {
        return "runs a statement of Unity Catalog that open Spark lacks";
    }

    public BoundProcedure bind(StructType types) {
        return this;
    }

    public ProcedureParameter[] parameters() {
        return new ProcedureParameter[] {ProcedureParameter.in("statement", DataTypes.StringType).build()};
    }

    public boolean isDeterministic() {
        return false;
    }

    public Iterator call(InternalRow input) {
        Map said;
        try {
            said = (Map) JSON.readValue(input.getString(0), HashMap.class);
        } catch (JsonProcessingException error) {
            throw new IllegalArgumentException(error);
        }
        List scans = new ArrayList();
        Scan result = run((String) said.get("statement"), said);
        if (result != null) {
            scans.add(result);
        }
        return scans.iterator();
    }

    private Scan run(String statement, Map said) {
        if ("create catalog".equals(statement)) {
            createCatalog((String) said.get("name"), isTrue(said, "quiet"));
        } else if ("drop catalog".equals(statement)) {
            dropCatalog((String) said.get("name"), isTrue(said, "quiet"), isTrue(said, "cascade"));
        } else if ("show catalogs".equals(statement)) {
            return showCatalogs((String) said.get("pattern"));
        } else if ("create view".equals(statement)) {
            createView(said);
        } else if ("drop view".equals(statement)) {
            dropView(said);
        } else if ("show views".equals(statement)) {
            return showViews(said);
        } else if ("show grants".equals(statement)) {
            return showGrants(said);
        } else if (statement.indexOf("function") >= 0) {
            changeFunction(statement, said);
        } else if (statement.indexOf("volume") >= 0) {
            return new Volumes(in(said)).run(statement, said);
        } else {
            changeGrants(said, "grant".equals(statement));
        }
        return null;
    }

    // ---- Catalogs

    private void createCatalog(String name, boolean quiet) {
        File folder = new File(catalog.root(), name);
        if (folder.isDirectory() || InformationSchema.SYSTEM.equalsIgnoreCase(name)) {
            if (!quiet) {
                throw new IllegalArgumentException("catalog '" + name + "' already exists");
            }
            return;
        }
        if (name.startsWith("_") || name.startsWith(".") || name.indexOf('/') >= 0) {
            throw new IllegalArgumentException("invalid name of a catalog: '" + name + "'");
        }
        new File(folder, "default").mkdirs();
        CatalogParser.know(SparkSession.active(), name);
    }

    private void dropCatalog(String name, boolean quiet, boolean cascade) {
        Folders dropped = Folders.of(catalog.root().getPath(), name);
        List schemas = dropped.schemas();
        boolean isEmpty = schemas.isEmpty()
            || schemas.size() == 1 && "default".equals(schemas.get(0)) && dropped.names("default").isEmpty();
        if (!new File(catalog.root(), name).isDirectory()) {
            if (!quiet) {
                throw new IllegalArgumentException("catalog '" + name + "' does not exist");
            }
        } else if (!isEmpty && !cascade) {
            throw new IllegalArgumentException("catalog '" + name + "' is not empty; DROP CATALOG … CASCADE deletes its tables");
        } else {
            new Volumes(dropped).drop(null);
            Folders.delete(new File(catalog.root(), name));
        }
    }

    private Scan showCatalogs(String pattern) {
        Rows rows = new Rows("catalog STRING");
        List catalogs = catalog.catalogs();
        for (int i = 0; i < catalogs.size(); i++) {
            String name = ((Folders) catalogs.get(i)).name();
            if (isLike(name, pattern)) {
                rows.add(new Object[] {name});
            }
        }
        return rows;
    }

    // ---- Views

    private void createView(Map said) {
        Folders folders = in(said);
        Identifier ident = ident(said);
        if (!folders.hasSchema((String) said.get("schema"))) {
            throw new IllegalArgumentException("schema '" + said.get("catalog") + "." + said.get("schema") + "' does not exist");
        }
        boolean exists = folders.view(ident) != null;
        if (folders.table(ident) != null) {
            throw new IllegalArgumentException("'" + ident + "' is a table, not a view");
        }
        if (exists && isTrue(said, "quiet")) {
            return;
        }
        if (exists && !isTrue(said, "replace")) {
            throw new IllegalArgumentException("view '" + ident + "' already exists; CREATE OR REPLACE VIEW replaces it");
        }
        Map view = (Map) said.get("view");
        SparkSession checking = SparkSession.active().newSession(); // the query must resolve, as where Spark creates a view
        checking.sql("SET CATALOG " + View.quoted(view.get("catalog")));
        checking.sql("USE " + View.quoted(view.get("schema")));
        checking.sql((String) view.get("query")).schema();
        folders.keep(ident, Folders.VIEW, view);
    }

    private void dropView(Map said) {
        if (!in(said).forget(ident(said), Folders.VIEW) && !isTrue(said, "quiet")) {
            throw new IllegalArgumentException("view '" + ident(said) + "' does not exist");
        }
    }

    private Scan showViews(Map said) {
        Folders folders = in(said);
        String schema = (String) said.get("schema");
        List names = folders.names(schema);
        Rows rows = new Rows("namespace STRING, viewName STRING, isTemporary STRING");
        for (int i = 0; i < names.size(); i++) {
            String name = (String) names.get(i);
            if (folders.view(Identifier.of(new String[] {schema}, name)) != null && isLike(name, (String) said.get("pattern"))) {
                rows.add(new Object[] {schema, name, "false"});
            }
        }
        return rows;
    }

    // ---- Functions

    private void changeFunction(String statement, Map said) {
        Folders folders = in(said);
        Identifier ident = ident(said);
        String whole = "function '" + said.get("catalog") + "." + ident + "'";
        boolean exists = folders.function(ident) != null;
        if ("drop function".equals(statement)) {
            if (!folders.forget(ident, Folders.FUNCTION) && !isTrue(said, "quiet")) {
                throw new IllegalArgumentException(whole + " does not exist");
            }
        } else if (!folders.hasSchema((String) said.get("schema"))) {
            throw new IllegalArgumentException("schema '" + said.get("catalog") + "." + said.get("schema") + "' does not exist");
        } else if (exists && !isTrue(said, "replace")) {
            if (!isTrue(said, "quiet")) {
                throw new IllegalArgumentException(whole + " already exists; CREATE OR REPLACE FUNCTION replaces it");
            }
        } else {
            Map function = (Map) said.get("function");
            SessionTables.function(SparkSession.active(), (String) said.get("catalog"), ident, new View(function, new File("")));
            folders.keep(ident, Folders.FUNCTION, function); // its body resolves
        }
    }

    private Folders in(Map said) {
        return Folders.of(catalog.root().getPath(), (String) said.get("catalog"));
    }

    private static Identifier ident(Map said) {
        return Identifier.of(new String[] {(String) said.get("schema")}, (String) said.get("name"));
    }

    // ---- Grants: kept and shown, never enforced

    private File grantsFile() {
        return new File(catalog.root(), "_grants.json");
    }

    private void changeGrants(Map said, boolean add) {
        Map kept = Folders.read(grantsFile());
        String[] privileges = ((String) said.get("privileges")).split(",");
        for (int i = 0; i < privileges.length; i++) {
            String privilege = privileges[i].trim().toUpperCase().replaceAll("\\s+", "_");
            String[] grant = {(String) said.get("principal"), privilege, type(said), (String) said.get("object")};
            String key = String.join("\t", grant);
            if (add) {
                kept.put(key, grant);
            } else {
                kept.remove(key);
            }
        }
        Folders.write(grantsFile(), kept);
    }

    private Scan showGrants(Map said) {
        Map kept = new java.util.TreeMap(Folders.read(grantsFile()));
        Rows rows = new Rows(GRANT);
        Iterator grants = kept.values().iterator();
        while (grants.hasNext()) {
            List grant = (List) grants.next();
            boolean isAsked = grant.get(2).equals(type(said)) && grant.get(3).toString().equalsIgnoreCase((String) said.get("object"))
                && (said.get("principal") == null || said.get("principal").equals(grant.get(0)));
            if (isAsked) {
                rows.add(grant.toArray());
            }
        }
        return rows;
    }

    private static String type(Map said) {
        String type = said.get("type") == null ? "TABLE" : ((String) said.get("type")).toUpperCase();
        return "DATABASE".equals(type) ? "SCHEMA" : "VIEW".equals(type) ? "TABLE" : type;
    }

    // ---- Words

    private static boolean isTrue(Map said, String key) {
        return "true".equals(said.get(key));
    }

    /** Spark's patterns: {@code *} for any text, {@code |} between alternatives, without regard to case. */
    static boolean isLike(String name, String pattern) {
        return pattern == null || name.toLowerCase().matches(pattern.toLowerCase().replace("*", ".*").replace("%", ".*"));
    }
}
