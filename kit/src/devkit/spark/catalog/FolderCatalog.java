package devkit.catalog;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.catalyst.analysis.NamespaceAlreadyExistsException;
import org.apache.spark.sql.catalyst.analysis.NoSuchFunctionException;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.catalyst.analysis.NonEmptyNamespaceException;
import org.apache.spark.sql.catalyst.analysis.TableAlreadyExistsException;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.FunctionCatalog;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.NamespaceChange;
import org.apache.spark.sql.connector.catalog.ProcedureCatalog;
import org.apache.spark.sql.connector.catalog.StagedTable;
import org.apache.spark.sql.connector.catalog.StagingTableCatalog;
import org.apache.spark.sql.connector.catalog.SupportsNamespaces;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.connector.catalog.TableChange;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A catalog whose folders are the truth: {@code ROOT/CATALOG/SCHEMA/TABLE} is a Delta table, and there is no metastore.
 *
 * <p>Every process that names the same root sees the same tables, and they are there after a restart. Reading, writing
 * and transactions are Delta's own: a name is answered by Delta's catalog at the folder's path.
 */
public final class FolderCatalog
        implements StagingTableCatalog, SupportsNamespaces, FunctionCatalog, ProcedureCatalog {
    private String name;
    private Folders folders;

    public void initialize(String catalog, CaseInsensitiveStringMap options) {
        name = catalog;
        folders = Folders.of(SparkSession.active().conf().get(CatalogParser.ROOT), catalog);
    }

    public String name() {
        return name;
    }

    public String[] defaultNamespace() {
        return new String[] {Folders.DEFAULT};
    }

    /** What CREATE TABLE may say, generated columns for example: what Delta reads. */
    public Set capabilities() {
        return SessionTables.catalog().capabilities();
    }

    // ---- Schemas

    public String[][] listNamespaces() {
        List schemas = folders.schemas();
        schemas.add(InformationSchema.NAME);
        String[][] listed = new String[schemas.size()][];
        for (int i = 0; i < listed.length; i++) {
            listed[i] = new String[] {(String) schemas.get(i)};
        }
        return listed;
    }

    public String[][] listNamespaces(String[] namespace) throws NoSuchNamespaceException {
        if (namespace.length == 0) {
            return listNamespaces();
        }
        schemaOf(namespace);
        return new String[0][];
    }

    public boolean namespaceExists(String[] namespace) {
        return namespace.length == 1 && folders.hasSchema(namespace[0]) || InformationSchema.is(namespace);
    }

    public Map loadNamespaceMetadata(String[] namespace) throws NoSuchNamespaceException {
        if (InformationSchema.is(namespace)) {
            return new HashMap();
        }
        Map metadata = folders.properties(schemaOf(namespace));
        metadata.put(SupportsNamespaces.PROP_LOCATION, folders.schema(namespace[0]).getPath());
        return metadata;
    }

    public void createNamespace(String[] namespace, Map metadata) throws NamespaceAlreadyExistsException {
        if (namespace.length != 1) {
            throw new UnsupportedOperationException("a schema has a name of one part: " + String.join(".", namespace));
        }
        if (namespaceExists(namespace)) {
            throw new NamespaceAlreadyExistsException(namespace);
        }
        folders.createSchema(namespace[0]);
        folders.setProperties(namespace[0], metadata);
    }

    public void alterNamespace(String[] namespace, NamespaceChange... changes) throws NoSuchNamespaceException {
        Map properties = folders.properties(schemaOf(namespace));
        for (int i = 0; i < changes.length; i++) {
            if (changes[i] instanceof NamespaceChange.SetProperty) {
                NamespaceChange.SetProperty change = (NamespaceChange.SetProperty) changes[i];
                properties.put(change.property(), change.value());
            } else if (changes[i] instanceof NamespaceChange.RemoveProperty) {
                properties.remove(((NamespaceChange.RemoveProperty) changes[i]).property());
            }
        }
        folders.setProperties(namespace[0], properties);
    }

    public boolean dropNamespace(String[] namespace, boolean cascade)
            throws NoSuchNamespaceException, NonEmptyNamespaceException {
        String schema = schemaOf(namespace);
        Volumes volumes = new Volumes(folders);
        boolean isEmpty = folders.names(schema).isEmpty() && folders.functions(schema).isEmpty();
        if (!cascade && !(isEmpty && volumes.folders(schema).isEmpty())) {
            throw new NonEmptyNamespaceException(namespace);
        }
        volumes.drop(schema);
        return folders.dropSchema(schema);
    }

    /** The name of a schema that has a folder, so that nothing is written to {@code information_schema}. */
    private String schemaOf(String[] namespace) throws NoSuchNamespaceException {
        if (namespace.length != 1 || !folders.hasSchema(namespace[0])) {
            String[] whole = new String[namespace.length + 1];
            whole[0] = name;
            System.arraycopy(namespace, 0, whole, 1, namespace.length);
            throw new NoSuchNamespaceException(whole);
        }
        return namespace[0];
    }

    // ---- Tables

    public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
        if (InformationSchema.is(namespace)) {
            return InformationSchema.listed(namespace);
        }
        List names = folders.names(schemaOf(namespace));
        Identifier[] listed = new Identifier[names.size()];
        for (int i = 0; i < listed.length; i++) {
            listed[i] = Identifier.of(namespace, (String) names.get(i));
        }
        return listed;
    }

    public boolean tableExists(Identifier ident) {
        if (isPath(ident)) {
            return SessionTables.catalog().tableExists(ident);
        }
        return InformationSchema.has(ident)
            || isHere(ident) && (folders.table(ident) != null || folders.view(ident) != null);
    }

    public Table loadTable(Identifier ident) throws NoSuchTableException {
        if (isPath(ident)) {
            return SessionTables.catalog().loadTable(ident);
        }
        if (InformationSchema.has(ident)) {
            return new InformationSchema(folders, ident.name());
        }
        String path = isHere(ident) ? folders.table(ident) : null;
        if (path != null) {
            return SessionTables.table(name, ident, path);
        }
        View view = isHere(ident) ? folders.view(ident) : null;
        if (view == null) {
            throw new NoSuchTableException(named(ident));
        }
        return SessionTables.view(name, ident, view);
    }

    public Table loadTable(Identifier ident, String version) throws NoSuchTableException {
        return SessionTables.catalog().loadTable(at(existing(ident)), version);
    }

    public Table loadTable(Identifier ident, long timestamp) throws NoSuchTableException {
        return SessionTables.catalog().loadTable(at(existing(ident)), timestamp);
    }

    public Table createTable(Identifier ident, Column[] columns, Transform[] partitions, Map properties)
            throws TableAlreadyExistsException, NoSuchNamespaceException {
        StagedTable staged = stageCreate(ident, columns, partitions, properties);
        staged.commitStagedChanges();
        try {
            return loadTable(ident);
        } catch (NoSuchTableException error) {
            throw new IllegalStateException(error);
        }
    }

    public StagedTable stageCreate(Identifier ident, Column[] columns, Transform[] partitions, Map properties)
            throws TableAlreadyExistsException, NoSuchNamespaceException {
        if (tableExists(ident)) {
            throw new TableAlreadyExistsException(named(ident));
        }
        return SessionTables.catalog().stageCreate(place(ident, properties), columns, partitions, kept(properties));
    }

    public StagedTable stageReplace(Identifier ident, Column[] columns, Transform[] partitions, Map properties)
            throws NoSuchNamespaceException, NoSuchTableException {
        existing(ident);
        return SessionTables.catalog().stageReplace(place(ident, properties), columns, partitions, kept(properties));
    }

    public StagedTable stageCreateOrReplace(Identifier ident, Column[] columns, Transform[] partitions, Map properties)
            throws NoSuchNamespaceException {
        return SessionTables.catalog().stageCreateOrReplace(place(ident, properties), columns, partitions, kept(properties));
    }

    public Table alterTable(Identifier ident, TableChange... changes) throws NoSuchTableException {
        return SessionTables.catalog().alterTable(at(existing(ident)), changes);
    }

    public boolean dropTable(Identifier ident) {
        if (isPath(ident)) {
            return SessionTables.catalog().dropTable(ident);
        }
        return isHere(ident) && folders.dropTable(ident);
    }

    public boolean purgeTable(Identifier ident) {
        return dropTable(ident);
    }

    public void renameTable(Identifier from, Identifier to) throws NoSuchTableException, TableAlreadyExistsException {
        existing(from);
        String[] schema = to.namespace(); // as it was written: nothing, a schema, or a catalog and a schema
        if (schema.length == 2 && !schema[0].equalsIgnoreCase(name)) {
            throw new UnsupportedOperationException("a table cannot move to another catalog: " + to);
        }
        String[] in = schema.length == 0 ? from.namespace() : new String[] {schema[schema.length - 1]};
        Identifier target = Identifier.of(in, to.name());
        if (tableExists(target)) {
            throw new TableAlreadyExistsException(named(target));
        }
        folders.rename(from, target);
    }

    private boolean isHere(Identifier ident) {
        return namespaceExists(ident.namespace());
    }

    /** Return whether this is a path, {@code delta.`/folder`}, which is no name of any catalog. */
    private static boolean isPath(Identifier ident) {
        return ident.namespace().length == 1 && "delta".equalsIgnoreCase(ident.namespace()[0])
            && ident.name().indexOf('/') >= 0;
    }

    private String existing(Identifier ident) throws NoSuchTableException {
        if (isPath(ident)) {
            return ident.name();
        }
        String path = isHere(ident) ? folders.table(ident) : null;
        if (path == null) {
            throw new NoSuchTableException(named(ident));
        }
        return path;
    }

    /** Where a new table's files lie: its own folder, or the LOCATION that was given and is kept in its place. */
    private Identifier place(Identifier ident, Map properties) throws NoSuchNamespaceException {
        if (isPath(ident)) {
            return ident;
        }
        schemaOf(ident.namespace());
        Object provider = properties.get(TableCatalog.PROP_PROVIDER);
        if (provider != null && !"delta".equalsIgnoreCase(provider.toString())) {
            throw new UnsupportedOperationException(
                "the catalog " + name + " holds Delta tables only, not " + provider + ": " + ident
                    + ". Leave out USING, or write the files to a path.");
        }
        Object location = properties.get(TableCatalog.PROP_LOCATION);
        return at(folders.place(ident, location == null ? null : location.toString()));
    }

    /** The properties without the place, which the identifier says already. */
    private static Map kept(Map properties) {
        Map kept = new HashMap(properties);
        kept.remove(TableCatalog.PROP_LOCATION);
        kept.remove(TableCatalog.PROP_EXTERNAL);
        kept.remove(TableCatalog.PROP_IS_MANAGED_LOCATION);
        kept.put(TableCatalog.PROP_PROVIDER, "delta");
        return kept;
    }

    private Identifier named(Identifier ident) {
        List parts = new ArrayList();
        parts.add(name);
        for (int i = 0; i < ident.namespace().length; i++) {
            parts.add(ident.namespace()[i]);
        }
        return Identifier.of((String[]) parts.toArray(new String[0]), ident.name());
    }

    static Identifier at(String path) {
        return Identifier.of(new String[] {"delta"}, path);
    }

    // ---- Functions: their names; `FunctionRule` lets queries call them

    public Identifier[] listFunctions(String[] namespace) throws NoSuchNamespaceException {
        List names = InformationSchema.is(namespace) ? new ArrayList() : folders.functions(schemaOf(namespace));
        Identifier[] listed = new Identifier[names.size()];
        for (int i = 0; i < listed.length; i++) {
            listed[i] = Identifier.of(namespace, (String) names.get(i));
        }
        return listed;
    }

    public boolean functionExists(Identifier ident) {
        return namespaceExists(ident.namespace()) && folders.function(ident) != null;
    }

    public UnboundFunction loadFunction(Identifier ident) throws NoSuchFunctionException {
        throw new NoSuchFunctionException(named(ident));
    }

    // ---- What open Spark has no statement for; the parser turns such statements into these calls

    public UnboundProcedure loadProcedure(Identifier ident) {
        return Statement.procedure(folders, ident);
    }

    public Identifier[] listProcedures(String[] namespace) {
        return new Identifier[0];
    }
}
