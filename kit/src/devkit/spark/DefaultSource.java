package cloudFiles;

import java.util.Map;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** Says what to do instead of `format("cloudFiles")`; Spark finds a source by the package that has its name. */
public class DefaultSource implements TableProvider {
    public StructType inferSchema(CaseInsensitiveStringMap options) {
        throw refused();
    }

    public Table getTable(StructType schema, Transform[] partitioning, Map<String, String> properties) {
        throw refused();
    }

    public boolean supportsExternalMetadata() {
        return true;
    }

    private static UnsupportedOperationException refused() {
        return new UnsupportedOperationException(
            "cloudFiles (Auto Loader) is Databricks' own and runs on this machine in pipelines only. In a job, read the"
            + " folder as files: spark.readStream.format(\"json\").schema(...).load(path); or make it a pipeline:"
            + " `devkit pipeline run`.");
    }
}
