package devkit.catalog;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A relation of a catalog's {@code information_schema}, made of the folders whenever it is read; that of the catalog
 * {@code system} tells of all catalogs.
 *
 * <p>Columns that only a metastore could fill are left out.
 * Source: https://docs.databricks.com/sql/language-manual/sql-ref-information-schema.html
 */
final class InformationSchema implements Table, SupportsRead {
    static final String NAME = "information_schema";
    static final String SYSTEM = "system";
    static final String USER = System.getProperty("user.name");

    private static final Map RELATIONS = new LinkedHashMap();

    static {
        String named = "table_catalog STRING, table_schema STRING, table_name STRING, ";
        String times = "created TIMESTAMP, created_by STRING, last_altered TIMESTAMP, last_altered_by STRING";
        RELATIONS.put("catalogs", "catalog_name STRING, catalog_owner STRING, comment STRING, " + times);
        RELATIONS.put("schemata",
            "catalog_name STRING, schema_name STRING, schema_owner STRING, comment STRING, " + times);
        RELATIONS.put("tables", named + "table_type STRING, is_insertable_into STRING, data_source_format STRING, "
            + "storage_path STRING, table_owner STRING, comment STRING, " + times);
        RELATIONS.put("columns", named + "column_name STRING, ordinal_position INT, is_nullable STRING, "
            + "full_data_type STRING, data_type STRING, numeric_precision INT, numeric_scale INT, comment STRING");
        RELATIONS.put("views", named + "view_definition STRING, check_option STRING, is_updatable STRING, "
            + "is_insertable_into STRING, is_materialized STRING");
        RELATIONS.put("volumes", "volume_catalog STRING, volume_schema STRING, volume_name STRING, "
            + "volume_type STRING, storage_location STRING, volume_owner STRING, comment STRING, " + times);
    }

    private final Folders folders;
    private final String relation;

    InformationSchema(Folders folders, String relation) {
        this.folders = folders;
        this.relation = relation.toLowerCase();
    }

    static boolean is(String[] namespace) {
        return namespace.length == 1 && NAME.equalsIgnoreCase(namespace[0]);
    }

    static boolean has(Identifier ident) {
        return is(ident.namespace()) && RELATIONS.containsKey(ident.name().toLowerCase());
    }

    static Identifier[] listed(String[] namespace) {
        Object[] names = RELATIONS.keySet().toArray();
        Identifier[] listed = new Identifier[names.length];
        for (int i = 0; i < names.length; i++) {
            listed[i] = Identifier.of(namespace, (String) names[i]);
        }
        return listed;
    }

    public String name() {
        return folders.name() + "." + NAME + "." + relation;
    }

    public StructType schema() {
        return StructType.fromDDL((String) RELATIONS.get(relation));
    }

    public Set capabilities() {
        return Collections.singleton(TableCapability.BATCH_READ);
    }

    public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
        return new ScanBuilder() {
            public Scan build() {
                return rows();
            }
        };
    }

    private Rows rows() {
        Rows rows = new Rows((String) RELATIONS.get(relation));
        List catalogs = SYSTEM.equals(folders.name()) ? folders.catalogs() : Collections.singletonList(folders);
        for (int i = 0; i < catalogs.size(); i++) {
            new InformationSchema((Folders) catalogs.get(i), relation).addTo(rows);
        }
        return rows;
    }

    private void addTo(Rows rows) {
        if ("catalogs".equals(relation)) {
            add(rows, new Object[] {folders.name()}, null, folders.schema(Folders.DEFAULT).getParentFile());
            return;
        }
        List schemas = folders.schemas();
        for (int i = 0; i < schemas.size(); i++) {
            String schema = (String) schemas.get(i);
            if ("schemata".equals(relation)) {
                Object comment = folders.properties(schema).get("comment");
                add(rows, new Object[] {folders.name(), schema}, comment, folders.schema(schema));
            } else if ("volumes".equals(relation)) {
                addVolumes(rows, schema);
            } else {
                List names = folders.names(schema);
                for (int j = 0; j < names.size(); j++) {
                    addTable(rows, Identifier.of(new String[] {schema}, (String) names.get(j)));
                }
            }
        }
    }

    private void addVolumes(Rows rows, String schema) {
        List volumes = new Volumes(folders).folders(schema);
        for (int i = 0; i < volumes.size(); i++) {
            File volume = (File) volumes.get(i);
            Map told = Volumes.told(volume);
            Object[] known = {folders.name(), schema, volume.getName(), told.get("type"), told.get("location")};
            add(rows, known, told.get("comment"), volume);
        }
    }

    private void addTable(Rows rows, Identifier ident) {
        String schema = ident.namespace()[0];
        View view = folders.view(ident);
        if ("views".equals(relation)) {
            if (view != null) {
                rows.add(new Object[] {folders.name(), schema, ident.name(), view.get("query"), "NONE", "NO", "NO", "NO"});
            }
        } else if ("columns".equals(relation)) {
            addColumns(rows, ident, view);
        } else if (view != null) {
            Object[] known = {folders.name(), schema, ident.name(), "VIEW", "NO", null, null};
            add(rows, known, view.get("comment"), view.file());
        } else {
            String path = folders.table(ident);
            Table table = loaded(ident, null);
            String type = path.startsWith(folders.schema(schema).getPath()) ? "MANAGED" : "EXTERNAL";
            Object comment = table == null ? null : table.properties().get("comment");
            add(rows, new Object[] {folders.name(), schema, ident.name(), type, "YES", "DELTA", path}, comment, new File(path));
        }
    }

    private void addColumns(Rows rows, Identifier ident, View view) {
        Table table = loaded(ident, view);
        Column[] columns = table == null ? new Column[0] : table.columns();
        for (int i = 0; i < columns.length; i++) {
            boolean isDecimal = columns[i].dataType() instanceof DecimalType;
            String type = columns[i].dataType().typeName().toUpperCase();
            type = isDecimal ? "DECIMAL" : "INTEGER".equals(type) ? "INT" : type;
            DecimalType decimal = isDecimal ? (DecimalType) columns[i].dataType() : null;
            rows.add(new Object[] {folders.name(), ident.namespace()[0], ident.name(), columns[i].name(),
                Integer.valueOf(i + 1), columns[i].nullable() ? "YES" : "NO", columns[i].dataType().catalogString(), type,
                isDecimal ? Integer.valueOf(decimal.precision()) : null, isDecimal ? Integer.valueOf(decimal.scale()) : null,
                columns[i].comment()});
        }
    }

    /** The table or view as Spark reads it; null for a view whose tables are gone, and the like. */
    private Table loaded(Identifier ident, View view) {
        try {
            return view != null ? SessionTables.view(folders.name(), ident, view)
                : SessionTables.catalog().loadTable(FolderCatalog.at(folders.table(ident)));
        } catch (Exception unreadable) {
            return null;
        }
    }

    /** Add a row: what is known, owner, comment, and the times of a file. */
    private static void add(Rows rows, Object[] known, Object comment, File file) {
        Long[] times = {null, null};
        try {
            BasicFileAttributes attributes = Files.readAttributes(file.toPath(), BasicFileAttributes.class);
            times[0] = Long.valueOf(attributes.creationTime().toMillis() * 1000);
            times[1] = Long.valueOf(attributes.lastModifiedTime().toMillis() * 1000);
        } catch (IOException isElsewhere) {
            // in a storage account, or a schema that has no folder yet
        }
        Object[] rest = {USER, comment, times[0], USER, times[1], USER};
        Object[] whole = new Object[known.length + rest.length];
        System.arraycopy(known, 0, whole, 0, known.length);
        System.arraycopy(rest, 0, whole, known.length, rest.length);
        rows.add(whole);
    }
}
