package devkit.catalog;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.catalyst.analysis.TableAlreadyExistsException;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.StagingTableCatalog;
import org.apache.spark.sql.connector.catalog.Table;

/**
 * What the session catalog alone can hold (Spark 4.1): views, SQL functions, and tables that a stream can read and write by name.
 *
 * <p>A table or view of a catalog of folders is made known there when it is first asked for, under a name of its own,
 * and answered from there. The session catalog is in memory and knows the place only: the folders stay the truth.
 */
final class SessionTables {
    private static final String[] SCHEMA = {"default"};
    private static final Map KNOWN = new ConcurrentHashMap(); // application and name -> version of the view, or path

    private SessionTables() {}

    static StagingTableCatalog catalog() {
        return (StagingTableCatalog) SparkSession.active().sessionState().catalogManager().v2SessionCatalog();
    }

    static Table table(String catalog, Identifier ident, String path) throws NoSuchTableException {
        String name = name(catalog, ident);
        if (isNews(name, path)) {
            SparkSession spark = SparkSession.active();
            spark.sql("DROP TABLE IF EXISTS " + sql(name)); // of external tables only the name goes
            try {
                spark.sql("CREATE TABLE " + sql(name) + " USING delta LOCATION '"
                    + path.replace("\\", "\\\\").replace("'", "\\'") + "'");
            } catch (Exception error) {
                if (!(error instanceof TableAlreadyExistsException)) { // another thread was quicker
                    throw error;
                }
            }
            remember(name, path);
        }
        return catalog().loadTable(Identifier.of(SCHEMA, name));
    }

    static Table view(String catalog, Identifier ident, View view) throws NoSuchTableException {
        String name = name(catalog, ident);
        if (isNews(name, view.version())) {
            view.create(SparkSession.active(), sql(name));
            remember(name, view.version());
        }
        return catalog().loadTable(Identifier.of(SCHEMA, name));
    }

    /** A name without its catalog and schema; a function that was replaced gets another one. */
    static String function(SparkSession session, String catalog, Identifier ident, View function) {
        String name = name(catalog, ident) + "_" + Integer.toHexString(function.version().hashCode());
        if (isNews(name, function.version())) {
            function.createFunction(session, sql(name));
            remember(name, function.version());
        }
        return name;
    }

    private static boolean isNews(String name, String content) {
        return !content.equals(KNOWN.get(key(name)));
    }

    private static void remember(String name, String content) {
        KNOWN.put(key(name), content);
    }

    private static String key(String name) {
        return SparkSession.active().sparkContext().applicationId() + "/" + name;
    }

    private static String sql(String name) {
        return "spark_catalog.default." + View.quoted(name);
    }

    /** A legal name that no other table has: readable, with the hash of the whole. */
    private static String name(String catalog, Identifier ident) {
        String whole = (catalog + "." + ident.namespace()[0] + "." + ident.name()).toLowerCase();
        return whole.replaceAll("[^a-z0-9]", "_") + "_" + Integer.toHexString(whole.hashCode());
    }
}
