package devkit.autoloader;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.network.util.JavaUtils;
import org.apache.spark.sql.catalyst.plans.logical.UnresolvedDataSource;
import org.apache.spark.unsafe.types.UTF8String;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What a reader of {@code cloudFiles} was given; the one list of its options (Databricks: "Auto Loader options").
 *
 * <p>Pipelines read by {@link #OF_PIPELINES}: there Databricks keeps the schema itself and starts a failed update again.
 */
final class Options {
    static final String OF_JOBS = "cloudfiles";
    static final String OF_PIPELINES = "devkit.read_files";

    private static final String[] FOLLOWED = {
        "format", "schemaLocation", "schemaHints", "inferColumnTypes", "schemaEvolutionMode", "maxFilesPerTrigger",
        "maxBytesPerTrigger", "partitionColumns", "includeExistingFiles", "allowOverwrites"};
    /** How files are found and kept in a cloud: here the folder is listed, and its files stay. */
    private static final String[] OF_THE_CLOUD = {
        "useNotifications", "useManagedFileEvents", "useIncrementalListing", "useStrictGlobber", "validateOptions",
        "backfillInterval", "maxFileAge", "cleanSource", "cleanSource.retentionDuration", "cleanSource.moveDestination",
        "fetchParallelism", "pathRewrites", "resourceTag", "listOnStart", "region", "queueUrl", "queueName", "connectionString",
        "resourceGroup", "subscriptionId", "subscription", "tenantId", "clientId", "clientSecret", "client", "clientEmail",
        "privateKey", "privateKeyId", "projectId", "awsAccessKey", "awsSecretKey", "roleArn", "roleExternalId",
        "roleSessionName", "stsEndpoint", "databricks.serviceCredential"};
    private static final String[] FORMATS = {"avro", "binaryFile", "csv", "json", "orc", "parquet", "text", "xml"};
    private static final String[] MODES = {"addNewColumns", "addNewColumnsWithTypeWidening", "rescue", "failOnNewColumns", "none"};
    private static final String RESCUED = "_rescued_data";
    /** What the names begin with that SQL's read_files takes: Auto Loader's own, those of clouds too, and Spark's. */
    private static final String MIXED = "any.";

    final boolean isPipelines;
    final boolean isInferred;
    final String path;
    final String format;
    final String mode;
    /** The column of what did not fit, or null. */
    final String rescued;
    /** Spark's own options, by their names in small letters. */
    final Map rest = new HashMap();
    private final Map own = new HashMap();

    Options(UnresolvedDataSource asked) {
        isPipelines = asked.format().equalsIgnoreCase(OF_PIPELINES);
        isInferred = asked.userSpecifiedSchema().isEmpty();
        if (!isPipelines && !asked.isStreaming()) {
            throw new UnsupportedOperationException(
                "cloudFiles is a stream: use spark.readStream, with trigger(availableNow=True) to read what is there and stop.");
        }
        sort(asked);
        Object first = asked.paths().isEmpty() ? rest.get("path") : asked.paths().head();
        rest.remove("path");
        if (first == null || get("format") == null) {
            throw new IllegalArgumentException("cloudFiles needs the option cloudFiles.format and a path");
        }
        path = (String) first;
        format = known("cloudFiles.format", get("format"), FORMATS);
        mode = get("schemaEvolutionMode") == null ? "" : known("cloudFiles.schemaEvolutionMode", get("schemaEvolutionMode"), MODES);
        refuse();
        limit(asked.isStreaming());
        Object column = rest.remove("rescueddatacolumn");
        boolean isRescuing = isInferred && !mode.equals("none");
        rescued = column != null ? (String) column : isRescuing ? RESCUED : null;
    }

    static boolean areOf(String source) {
        return source.equalsIgnoreCase(OF_JOBS) || source.equalsIgnoreCase(OF_PIPELINES);
    }

    /** Return one of Auto Loader's own options, or null. */
    String get(String name) {
        return (String) own.get(name.toLowerCase(Locale.ROOT));
    }

    boolean isOn(String name) {
        return "true".equalsIgnoreCase(get(name));
    }

    boolean hasFixedSchema() {
        return format.equals("text") || format.equals("binaryFile");
    }

    boolean isInTexts() {
        return format.equals("json") || format.equals("csv");
    }

    boolean addsColumns() {
        return isInferred && (mode.isEmpty() || mode.startsWith("addNewColumns"));
    }

    /** Return whether a field that the schema lacks shall end the stream. */
    boolean failsOnNewColumns() {
        return !isPipelines && (mode.equals("failOnNewColumns") || addsColumns());
    }

    private void sort(UnresolvedDataSource asked) {
        String prefix = isPipelines ? "readfiles." : "cloudfiles.";
        List names = new ArrayList();
        for (int i = 0; i < FOLLOWED.length; i++) {
            names.add(FOLLOWED[i]);
        }
        for (int i = 0; i < OF_THE_CLOUD.length; i++) {
            names.add(OF_THE_CLOUD[i]);
        }
        Iterator given = CollectionConverters.asJava(asked.options().originalMap()).entrySet().iterator();
        while (given.hasNext()) {
            Map.Entry option = (Map.Entry) given.next();
            String key = ((String) option.getKey()).toLowerCase(Locale.ROOT);
            if (!key.startsWith(prefix)) {
                rest.put(key, option.getValue());
                continue;
            }
            String name = ((String) option.getKey()).substring(prefix.length());
            if (isPipelines && name.toLowerCase(Locale.ROOT).startsWith(MIXED)) {
                name = name.substring(MIXED.length());
                if (!has(names, name)) {
                    rest.put(name.toLowerCase(Locale.ROOT), option.getValue());
                    continue;
                }
            }
            if (name.equalsIgnoreCase("rescuedDataColumn")) {
                throw new IllegalArgumentException("unknown option cloudFiles." + name + "; did you mean 'rescuedDataColumn'?");
            }
            if (!name.toLowerCase(Locale.ROOT).startsWith("resourcetag.")) {
                known("option of cloudFiles", name, (String[]) names.toArray(new String[0]));
            }
            own.put(name.toLowerCase(Locale.ROOT), option.getValue());
        }
    }

    private static boolean has(List names, String name) {
        for (int i = 0; i < names.size(); i++) {
            if (name.equalsIgnoreCase((String) names.get(i))) {
                return true;
            }
        }
        return false;
    }

    private void refuse() {
        if ("false".equalsIgnoreCase(get("includeExistingFiles"))) {
            throw cannot("includeExistingFiles", "each file is read");
        }
        if (isOn("allowOverwrites")) {
            throw cannot("allowOverwrites", "each file is read once");
        }
        if (!isPipelines && mode.startsWith("addNewColumns") && !isInferred) {
            throw new IllegalArgumentException("cloudFiles.schemaEvolutionMode=" + mode
                + " goes with no given schema: leave the mode out, or give the columns as cloudFiles.schemaHints");
        }
        if (!isPipelines && mode.equals("failOnNewColumns") && !format.equals("json")) {
            throw cannot("schemaEvolutionMode", "Spark does not tell new columns of " + format + "; leave it out, or use rescue");
        }
        if (!isPipelines && isInferred && !hasFixedSchema() && get("schemaLocation") == null) {
            throw new IllegalArgumentException("cloudFiles needs the option cloudFiles.schemaLocation to infer a schema;"
                + " set it, such as to the stream's checkpointLocation, or give a schema");
        }
    }

    private void limit(boolean isStreaming) {
        if (!isStreaming) {
            return;
        }
        String files = get("maxFilesPerTrigger");
        String bytes = get("maxBytesPerTrigger");
        if (bytes != null && files == null) { // Spark takes one of the two
            rest.put("maxbytespertrigger", Long.toString(JavaUtils.byteStringAsBytes(bytes)));
        } else if (!rest.containsKey("maxfilespertrigger") && !rest.containsKey("maxbytespertrigger")) {
            rest.put("maxfilespertrigger", files == null ? "1000" : files);
        }
    }

    private UnsupportedOperationException cannot(String name, String reason) {
        return new UnsupportedOperationException("cloudFiles." + name + "=" + get(name) + " cannot be followed here: " + reason);
    }

    /** Return the name as Databricks writes it. */
    private static String known(String what, String name, String[] names) {
        String nearest = null;
        int least = 4;
        for (int i = 0; i < names.length; i++) {
            if (names[i].equalsIgnoreCase(name)) {
                return names[i];
            }
            UTF8String small = UTF8String.fromString(names[i].toLowerCase(Locale.ROOT));
            int distance = small.levenshteinDistance(UTF8String.fromString(name.toLowerCase(Locale.ROOT)));
            if (distance < least) {
                least = distance;
                nearest = names[i];
            }
        }
        throw new IllegalArgumentException("unknown " + what + ": '" + name + "'"
            + (nearest == null ? "" : "; did you mean '" + nearest + "'?"));
    }
}
