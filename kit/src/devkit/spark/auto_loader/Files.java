package devkit.autoloader;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.catalyst.plans.logical.UnresolvedDataSource;
import org.apache.spark.sql.classic.Dataset;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;

/**
 * The files of a folder as Auto Loader gives them, by Spark's own file source.
 *
 * <p>Inferred columns of JSON and CSV are strings unless {@code cloudFiles.inferColumnTypes} is on, and come with
 * {@code _rescued_data}; a given schema comes without it, unless {@code rescuedDataColumn} names one.
 */
final class Files {
    private static final String CORRUPT = "_corrupt_record";
    private final SparkSession session;
    private final UnresolvedDataSource asked;
    private final Options options;

    Files(SparkSession session, UnresolvedDataSource asked) {
        this.session = session;
        this.asked = asked;
        options = new Options(asked);
    }

    Dataset frame() {
        lookIntoFolders();
        StructType schema = options.isInferred ? inferred() : (StructType) asked.userSpecifiedSchema().get();
        if (options.format.equals("json") && (options.rescued != null || options.failsOnNewColumns())) {
            return json(schema);
        }
        if (options.format.equals("csv") && options.rescued != null) {
            return csv(schema);
        }
        Dataset frame = read(options.format, options.hasFixedSchema() && !options.isInferred ? null : schema);
        return options.rescued == null ? frame
            : frame.selectExpr(new String[] {"*", "CAST(NULL AS STRING) AS " + quoted(options.rescued)});
    }

    /** Read folders in folders too, which Spark does not, unless their names are values of columns ({@code day=1}). */
    private void lookIntoFolders() {
        if (options.rest.containsKey("recursivefilelookup")) {
            return;
        }
        String columns = options.get("partitionColumns");
        boolean none = columns == null ? batch("text", options.rest).columns().length == 1 : columns.trim().isEmpty();
        if (none) {
            options.rest.put("recursivefilelookup", "true");
        }
    }

    private Dataset batch(String format, Map given) {
        return session.read().format(format).options(given).load(options.path);
    }

    private Dataset read(String format, StructType schema) {
        if (!asked.isStreaming()) {
            return schema == null ? session.read().format(format).options(options.rest).load(options.path)
                : session.read().format(format).options(options.rest).schema(schema).load(options.path);
        }
        return schema == null ? session.readStream().format(format).options(options.rest).load(options.path)
            : session.readStream().format(format).options(options.rest).schema(schema).load(options.path);
    }

    private StructType inferred() {
        if (options.hasFixedSchema()) {
            return batch(options.format, options.rest).schema();
        }
        String location = options.get("schemaLocation");
        try {
            return withHints(location == null || options.isPipelines ? found()
                : kept(new KeptSchema(location, session.sessionState().newHadoopConf())));
        } catch (IOException error) {
            throw new IllegalArgumentException("cloudFiles.schemaLocation: cannot keep a schema in " + location, error);
        }
    }

    private StructType kept(KeptSchema place) throws IOException {
        StructType before = place.read();
        if (before != null && !options.addsColumns()) {
            return before;
        }
        StructType found;
        try {
            found = found();
        } catch (IllegalArgumentException nothing) {
            if (before == null) {
                throw nothing;
            }
            return before;
        }
        StructType now = before == null ? found : merged(before, found, false);
        if (!now.equals(before)) {
            place.write(now);
        }
        return now;
    }

    private StructType found() {
        Map given = new HashMap(options.rest);
        boolean typed = options.isOn("inferColumnTypes");
        if (options.format.equals("csv") && typed && !given.containsKey("inferschema")) {
            given.put("inferschema", "true");
        }
        StructField[] fields;
        try {
            fields = batch(options.format, given).schema().fields();
        } catch (Exception error) { // Spark declares none of its own
            String condition = error instanceof AnalysisException ? ((AnalysisException) error).getCondition() : "";
            String problem = "PATH_NOT_FOUND".equals(condition) ? "does not exist"
                : "UNABLE_TO_INFER_SCHEMA".equals(condition) ? "holds no file" : null;
            if (problem == null) {
                Platform.throwException(error);
            }
            throw new IllegalArgumentException("cloudFiles cannot infer a schema: " + options.path + " " + problem
                + "; put a file there, or give a schema");
        }
        StructType found = new StructType();
        for (int i = 0; i < fields.length; i++) {
            if (fields[i].name().equals(CORRUPT) && options.rescued != null) {
                continue; // such lines are rescued whole
            }
            found = options.isInTexts() && !typed ? found.add(fields[i].name(), DataTypes.StringType) : found.add(fields[i]);
        }
        return found;
    }

    private StructType withHints(StructType schema) {
        String hints = options.get("schemaHints");
        return hints == null ? schema : merged(schema, StructType.fromDDL(hints), true);
    }

    /** Return the columns of both; of a column in both, the second's type where `replaces`. */
    private static StructType merged(StructType first, StructType second, boolean replaces) {
        List names = new ArrayList();
        List fields = new ArrayList(Arrays.asList(first.fields()));
        for (int i = 0; i < fields.size(); i++) {
            names.add(((StructField) fields.get(i)).name().toLowerCase(Locale.ROOT));
        }
        StructField[] more = second.fields();
        for (int i = 0; i < more.length; i++) {
            int place = names.indexOf(more[i].name().toLowerCase(Locale.ROOT));
            if (place < 0) {
                fields.add(more[i]);
            } else if (replaces) {
                fields.set(place, more[i]);
            }
        }
        return new StructType((StructField[]) fields.toArray(new StructField[0]));
    }

    /** Parse each line, or each file, and keep what the schema has no place for as JSON text. */
    private Dataset json(StructType schema) {
        boolean whole = "true".equalsIgnoreCase((String) options.rest.get("multiline"));
        if (whole) {
            options.rest.put("wholetext", "true");
        }
        Dataset lines = read("text", null);
        Set ofTheFolder = new HashSet();
        String[] names = lines.columns();
        for (int i = 0; i < names.length; i++) {
            ofTheFolder.add(names[i].toLowerCase(Locale.ROOT));
        }
        ofTheFolder.remove("value");
        StructType inside = new StructType();
        List columns = new ArrayList();
        StructField[] fields = schema.fields();
        for (int i = 0; i < fields.length; i++) {
            boolean isOfTheFolder = ofTheFolder.contains(fields[i].name().toLowerCase(Locale.ROOT));
            inside = isOfTheFolder ? inside : inside.add(fields[i]);
            columns.add((isOfTheFolder ? "" : "__typed.") + quoted(fields[i].name()) + " AS " + quoted(fields[i].name()));
        }
        Dataset parsed = parsed(lines, inside, whole);
        if (options.failsOnNewColumns()) {
            parsed = parsed.where(noNewFields(inside));
        }
        if (options.rescued != null) {
            columns.add(rescuedOfJson(inside) + " AS " + quoted(options.rescued));
        }
        return parsed.selectExpr((String[]) columns.toArray(new String[0]));
    }

    private Dataset parsed(Dataset lines, StructType inside, boolean whole) {
        String typed = whole ? "ARRAY<" + inside.sql() + ">" : inside.sql();
        String raw = "from_json(value, 'MAP<STRING,STRING>')";
        if (whole) { // an array of maps does not take the object alone, as an array of structs does
            raw = "coalesce(from_json(value, 'ARRAY<MAP<STRING,STRING>>'), array(" + raw + "))";
        }
        Dataset parsed = lines.where("length(trim(value)) > 0").selectExpr(new String[] {
            "*", "_metadata.file_path AS __file", "from_json(value, " + literal(typed) + parserOptions() + ") AS __typed",
            raw + " AS __raw"});
        if (!whole) {
            return parsed;
        }
        return parsed.withColumn("__row", functions.expr("explode_outer(arrays_zip(__typed, __raw))"))
            .withColumn("__typed", functions.expr("__row.__typed")).withColumn("__raw", functions.expr("__row.__raw"));
    }

    private String parserOptions() {
        List parts = new ArrayList();
        Iterator given = options.rest.entrySet().iterator();
        while (given.hasNext()) {
            Map.Entry option = (Map.Entry) given.next();
            parts.add(literal((String) option.getKey()));
            parts.add(literal((String) option.getValue()));
        }
        return parts.isEmpty() ? "" : ", map(" + String.join(", ", parts) + ")";
    }

    private static String rescuedOfJson(StructType inside) {
        List misfits = new ArrayList();
        StructField[] fields = inside.fields();
        for (int i = 0; i < fields.length; i++) {
            misfits.add("if(__typed." + quoted(fields[i].name()) + " IS NULL, " + literal(fields[i].name()) + ", NULL)");
        }
        String left = "map_filter(__raw, (k, v) -> v IS NOT NULL AND (NOT array_contains(" + names(inside)
            + ", k) OR array_contains(" + texts(misfits) + ", k)))";
        return "CASE WHEN __raw IS NULL THEN to_json(map('" + CORRUPT + "', value, '_file_path', __file)) WHEN size(" + left
            + ") > 0 THEN to_json(map_concat(" + left + ", map('_file_path', __file))) END";
    }

    /** A condition, since a column that nobody selects would not be computed. */
    private String noNewFields(StructType inside) {
        String added = "map_keys(map_filter(__raw, (k, v) -> v IS NOT NULL AND NOT array_contains(" + names(inside) + ", k)))";
        String remedy = options.addsColumns() ? "start the stream again, which adds them" : "add them to the schema";
        return "if(size(" + added + ") > 0, raise_error(concat('UnknownFieldException: new columns in ', __file, ': ', "
            + "array_join(" + added + ", ', '), " + literal("; " + remedy) + ")), true)";
    }

    /** Read texts, and keep those that do not fit their column's type. */
    private Dataset csv(StructType schema) {
        StructType texts = new StructType();
        List columns = new ArrayList();
        List pairs = new ArrayList();
        StructField[] fields = schema.fields();
        for (int i = 0; i < fields.length; i++) {
            String name = quoted(fields[i].name());
            String typed = "try_cast(" + name + " AS " + fields[i].dataType().sql() + ")";
            texts = texts.add(fields[i].name(), DataTypes.StringType);
            columns.add(typed + " AS " + name);
            pairs.add(literal(fields[i].name()) + ", if(" + typed + " IS NULL, " + name + ", NULL)");
        }
        String left = "map_filter(map(" + String.join(", ", pairs) + "), (k, v) -> v IS NOT NULL)";
        columns.add("if(size(" + left + ") > 0, to_json(map_concat(" + left + ", map('_file_path', _metadata.file_path))), NULL) AS "
            + quoted(options.rescued));
        return read("csv", texts).selectExpr((String[]) columns.toArray(new String[0]));
    }

    private static String names(StructType schema) {
        List names = new ArrayList();
        StructField[] fields = schema.fields();
        for (int i = 0; i < fields.length; i++) {
            names.add(literal(fields[i].name()));
        }
        return texts(names);
    }

    private static String texts(List parts) {
        return "CAST(array(" + String.join(", ", parts) + ") AS ARRAY<STRING>)";
    }

    private static String quoted(String name) {
        return "`" + name.replace("`", "``") + "`";
    }

    private static String literal(String text) {
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
    }
}
