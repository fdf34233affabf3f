package devkit.catalog;

import java.io.File;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkThrowable;
import org.apache.spark.sql.catalyst.analysis.UnresolvedFunctionName;
import org.apache.spark.sql.catalyst.analysis.UnresolvedIdentifier;
import org.apache.spark.sql.catalyst.analysis.UnresolvedNamespace;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.plans.logical.CreateUserDefinedFunction;
import org.apache.spark.sql.catalyst.plans.logical.CreateView;
import org.apache.spark.sql.catalyst.plans.logical.DropFunction;
import org.apache.spark.sql.catalyst.plans.logical.DropView;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.ShowViews;
import org.apache.spark.sql.classic.SparkSession;
import scala.Option;
import scala.Tuple2;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Reads the statements of Unity Catalog that open Spark lacks, by turning each into the call of a procedure.
 *
 * <p>Views and functions of a catalog of folders are read by Spark's own parser and recognised by their plan; {@code USE CATALOG},
 * {@code CREATE | DROP | SHOW CATALOG}, {@code GRANT}, {@code REVOKE} and {@code SHOW GRANTS} by their first words.
 * Source: https://docs.databricks.com/sql/language-manual
 */
final class CatalogParser implements InvocationHandler {
    static final String ROOT = "spark.devkit.tables";

    private static final String PLUG_IN = "spark.sql.catalog.";
    private static final String NAME = "((?:`(?:[^`]|``)+`|[^\\s`;.]+)(?:\\.(?:`(?:[^`]|``)+`|[^\\s`;.]+))*)";
    private static final String PRINCIPAL = "(`(?:[^`]|``)+`|[^\\s`;]+)";
    private static final String OBJECT = "\\s+ON\\s+(?:(CATALOG|SCHEMA|DATABASE|TABLE|VIEW|VOLUME|FUNCTION|METASTORE)\\s+)?"
        + NAME;
    private static final Pattern USE = statement("USE\\s+CATALOG\\s+" + NAME);
    private static final Pattern CREATE = statement("CREATE\\s+CATALOG\\s+(IF\\s+NOT\\s+EXISTS\\s+)?" + NAME + "(\\s.*)?");
    private static final Pattern DROP = statement("DROP\\s+CATALOG\\s+(IF\\s+EXISTS\\s+)?" + NAME + "(\\s+CASCADE|\\s+RESTRICT)?");
    private static final Pattern CATALOGS = statement("SHOW\\s+CATALOGS(?:\\s+LIKE\\s+'([^']*)')?");
    private static final Pattern GRANT = statement("GRANT\\s+(.+?)" + OBJECT + "\\s+TO\\s+" + PRINCIPAL);
    private static final Pattern REVOKE = statement("REVOKE\\s+(.+?)" + OBJECT + "\\s+FROM\\s+" + PRINCIPAL);
    private static final Pattern GRANTS = statement("SHOW\\s+GRANTS?(?:\\s+" + PRINCIPAL + ")??" + OBJECT);
    private static final String TEXT = "\\s+'((?:[^'\\\\]|\\\\.)*)'";
    private static final Pattern CREATE_VOLUME = statement("CREATE\\s+(EXTERNAL\\s+)?VOLUME\\s+(IF\\s+NOT\\s+EXISTS\\s+)?"
        + NAME + "(\\s+LOCATION" + TEXT + ")?(?:\\s+COMMENT" + TEXT + ")?");
    private static final Pattern DROP_VOLUME = statement("DROP\\s+VOLUME\\s+(IF\\s+EXISTS\\s+)?" + NAME);
    private static final Pattern VOLUME = statement("DESC(?:RIBE)?\\s+VOLUME\\s+" + NAME);
    private static final Pattern VOLUMES = statement("SHOW\\s+VOLUMES(?:\\s+(?:IN|FROM)\\s+" + NAME + ")?(?:(?:\\s+LIKE)?" + TEXT + ")?");
    private static final Pattern WORD = Pattern.compile(
        "(?:\\s|--[^\\n]*(?:\\n|$)|/\\*.*?\\*/)*(USE|CREATE|DROP|SHOW|DESC|DESCRIBE|GRANT|REVOKE)\\b.*",
        Pattern.CASE_INSENSITIVE | Pattern.DOTALL);

    private final ParserInterface spark;
    private final SparkSession session;

    private CatalogParser(ParserInterface spark, SparkSession session) {
        this.spark = spark;
        this.session = session;
    }

    /** A parser with every method of Spark's, whichever its version has. */
    static ParserInterface before(ParserInterface parser, SparkSession session) {
        return (ParserInterface) Proxy.newProxyInstance(
            CatalogParser.class.getClassLoader(),
            new Class[] {ParserInterface.class},
            new CatalogParser(parser, session));
    }

    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        boolean isStatement = method.getName().startsWith("parsePlan");
        if (arguments != null && arguments.length == 2 && isStatement) {
            arguments = new Object[] {bound(arguments)};
            method = ParserInterface.class.getMethod("parsePlan", new Class[] {String.class});
        }
        if (isStatement && session.conf().contains(ROOT)) {
            knowCatalogs();
            arguments[0] = translated((String) arguments[0]);
        }
        try {
            Object parsed = method.invoke(spark, arguments);
            return isStatement && session.conf().contains(ROOT) ? ofFolders((LogicalPlan) parsed) : parsed;
        } catch (InvocationTargetException error) {
            String text = isStatement ? withOneName((String) arguments[0], error.getCause()) : null;
            if (text == null) {
                throw error.getCause();
            }
            return invoke(proxy, method, new Object[] {text});
        }
    }

    /** The text with the name of a table function in one part, of which Spark's parser takes no more; null for another error. */
    private static String withOneName(String text, Throwable error) {
        String condition = error instanceof SparkThrowable ? ((SparkThrowable) error).getCondition() : null;
        if (condition == null || !condition.endsWith("INVALID_TABLE_VALUED_FUNC_NAME")) {
            return null;
        }
        int start = ((SparkThrowable) error).getQueryContext()[0].startIndex();
        int end = text.indexOf('(', start);
        String name = text.substring(start, end).replaceAll("[`\\s]", "");
        return text.substring(0, start) + View.quoted(name) + text.substring(end);
    }

    /**
     * The text with its parameters' values, which Delta's parser, the next one, would lose (Spark 4.1; 4.0 has no such
     * call). A statement that only Delta reads stays as it is.
     */
    private static Object bound(Object[] arguments) throws Exception {
        String place = "org.apache.spark.sql.catalyst.parser.";
        Class[] types = {String.class, Class.forName(place + "ParameterContext")};
        Method substitute = Class.forName(place + "ParameterHandler").getMethod("substituteParameters", types);
        try {
            return ((Tuple2) substitute.invoke(null, arguments))._1();
        } catch (InvocationTargetException notSparks) {
            return arguments[0];
        }
    }

    /** Other processes create catalogs too: whatever folder is there is one. */
    private void knowCatalogs() {
        File[] folders = Folders.list(new File(session.conf().get(ROOT)));
        for (int i = 0; i < folders.length; i++) {
            know(session, folders[i].getName());
        }
    }

    static void know(SparkSession session, String catalog) {
        boolean isName = !catalog.startsWith("_") && !catalog.startsWith(".");
        if (isName && !session.conf().contains(PLUG_IN + catalog)) {
            session.conf().set(PLUG_IN + catalog, FolderCatalog.class.getName());
        }
    }

    private boolean isOurs(String catalog) {
        return isOurs(session, catalog);
    }

    static boolean isOurs(SparkSession session, String catalog) {
        return session.conf().contains(PLUG_IN + catalog)
            && FolderCatalog.class.getName().equals(session.conf().get(PLUG_IN + catalog));
    }

    // ---- Statements that Spark's parser does not read

    private String translated(String text) throws Exception {
        if (!WORD.matcher(text).matches()) {
            return text;
        }
        String plain = text.trim();
        Matcher found = USE.matcher(plain);
        if (found.matches()) {
            return "SET CATALOG " + found.group(1);
        }
        found = CREATE.matcher(plain);
        if (found.matches()) {
            return call("create catalog", "name", unquoted(found.group(2)), "quiet", flag(found.group(1)));
        }
        found = DROP.matcher(plain);
        if (found.matches()) {
            String cascade = found.group(3) == null ? "" : found.group(3).trim();
            return call("drop catalog", "name", unquoted(found.group(2)), "quiet", flag(found.group(1)),
                "cascade", "CASCADE".equalsIgnoreCase(cascade) ? "true" : "false");
        }
        found = CATALOGS.matcher(plain);
        if (found.matches()) {
            return call("show catalogs", "pattern", found.group(1));
        }
        String volume = translatedVolume(plain);
        return volume == null ? translatedGrant(text, plain) : volume;
    }

    private String translatedVolume(String plain) throws Exception {
        Matcher found = CREATE_VOLUME.matcher(plain);
        if (found.matches()) {
            return callOfVolume(found.group(3), "create volume", "quiet", flag(found.group(2)), "external",
                flag(found.group(1)), "location", found.group(5), "comment", found.group(6));
        }
        found = DROP_VOLUME.matcher(plain);
        if (found.matches()) {
            return callOfVolume(found.group(2), "drop volume", "quiet", flag(found.group(1)));
        }
        found = VOLUME.matcher(plain);
        if (found.matches()) {
            return callOfVolume(found.group(1), "describe volume");
        }
        found = VOLUMES.matcher(plain);
        if (found.matches()) {
            String schema = found.group(1) == null
                ? View.quoted(String.join(".", session.sessionState().catalogManager().currentNamespace())) : found.group(1);
            return callOfVolume(schema + ".x", "show volumes", "pattern", found.group(2));
        }
        return null;
    }

    private String callOfVolume(String name, Object... statement) throws Exception {
        String[] whole = whole(name, 3);
        if (whole.length > 3 || !isOurs(whole[0])) {
            throw new IllegalArgumentException("no catalog of volumes in the name " + String.join(".", whole));
        }
        return callIn(whole, statement);
    }

    private String translatedGrant(String text, String plain) throws Exception {
        Matcher found = GRANT.matcher(plain);
        String kind = "grant";
        if (!found.matches()) {
            found = REVOKE.matcher(plain);
            kind = "revoke";
        }
        if (found.matches()) {
            return call(kind, "privileges", found.group(1), "type", found.group(2), "object", whole(found),
                "principal", unquoted(found.group(4)));
        }
        found = GRANTS.matcher(plain);
        if (found.matches()) {
            String principal = found.group(1) == null ? null : unquoted(found.group(1));
            return call("show grants", "type", found.group(2), "object", whole(found), "principal", principal);
        }
        return text;
    }

    /** The name of what is granted, with the parts that were left out. */
    private String whole(Matcher found) throws Exception {
        String type = found.group(2) == null ? "TABLE" : found.group(2).toUpperCase();
        int levels = "CATALOG".equals(type) || "METASTORE".equals(type) ? 1
            : "SCHEMA".equals(type) || "DATABASE".equals(type) ? 2 : 3;
        return String.join(".", whole(found.group(3), levels));
    }

    private String[] whole(String name, int levels) throws Exception {
        LinkedList parts = new LinkedList(CollectionConverters.asJava(spark.parseMultipartIdentifier(name)));
        if (levels == 3 && parts.size() == 1) {
            parts.addFirst(String.join(".", session.sessionState().catalogManager().currentNamespace()));
        }
        if (parts.size() == levels - 1) {
            parts.addFirst(session.sessionState().catalogManager().currentCatalog().name());
        }
        return (String[]) parts.toArray(new String[0]);
    }

    // ---- Views, by the plan that Spark's parser made

    private LogicalPlan ofFolders(LogicalPlan plan) {
        String call = null;
        if (plan instanceof CreateView) {
            call = createView((CreateView) plan);
        } else if (plan instanceof DropView) {
            String[] name = name(((DropView) plan).child());
            if (name != null) {
                call = callIn(name, "drop view", "quiet", String.valueOf(((DropView) plan).ifExists()));
            }
        } else if (plan instanceof ShowViews) {
            call = showViews((ShowViews) plan);
        } else if (plan instanceof CreateUserDefinedFunction) {
            call = createFunction((CreateUserDefinedFunction) plan);
        } else if (plan instanceof DropFunction) {
            String[] name = name(((DropFunction) plan).child());
            if (name != null) {
                call = callIn(name, "drop function", "quiet", String.valueOf(((DropFunction) plan).ifExists()));
            }
        }
        return call == null ? plan : parsed(call);
    }

    private String createView(CreateView plan) {
        String[] name = name(plan.child());
        if (name == null) {
            return null;
        }
        List columns = new ArrayList();
        List declared = CollectionConverters.asJava(plan.userSpecifiedColumns());
        for (int i = 0; i < declared.size(); i++) {
            columns.add(((Tuple2) declared.get(i))._1());
        }
        Map view = new HashMap();
        view.put("query", orNull(plan.originalText()));
        view.put("columns", columns);
        view.put("comment", orNull(plan.comment()));
        view.put("catalog", session.sessionState().catalogManager().currentCatalog().name());
        view.put("schema", String.join(".", session.sessionState().catalogManager().currentNamespace()));
        return callIn(name, "create view", "view", view, "replace", String.valueOf(plan.replace()), "quiet",
            String.valueOf(plan.allowExisting()));
    }

    private String createFunction(CreateUserDefinedFunction plan) {
        String[] name = name(plan.child());
        if (name == null) {
            return null;
        }
        Map function = new HashMap();
        function.put("parameters", plan.inputParamText().isDefined() ? plan.inputParamText().get() : "");
        function.put("returns", plan.returnTypeText());
        String query = plan.exprText().isDefined() ? (String) plan.exprText().get() : (String) plan.queryText().get();
        function.put("query", plan.exprText().isDefined() || plan.isTableFunc() ? query : "(" + query + ")");
        function.put("table", plan.isTableFunc() ? "TABLE" : "");
        function.put("comment", orNull(plan.comment()));
        function.put("catalog", session.sessionState().catalogManager().currentCatalog().name());
        function.put("schema", String.join(".", session.sessionState().catalogManager().currentNamespace()));
        return callIn(name, "create function", "function", function, "replace", String.valueOf(plan.replace()), "quiet",
            String.valueOf(plan.ignoreIfExists()));
    }

    private String showViews(ShowViews plan) {
        List given = new ArrayList();
        if (plan.child() instanceof UnresolvedNamespace) {
            given.addAll(CollectionConverters.asJava(((UnresolvedNamespace) plan.child()).multipartIdentifier()));
        }
        String current = session.sessionState().catalogManager().currentCatalog().name();
        String[] schema = session.sessionState().catalogManager().currentNamespace();
        String catalog = given.size() > 1 ? (String) given.get(0) : current;
        String name = given.isEmpty() ? String.join(".", schema) : (String) given.get(given.size() - 1);
        return isOurs(catalog) ? callIn(new String[] {catalog, name, ""}, "show views", "pattern", orNull(plan.pattern())) : null;
    }

    /** Catalog, schema and name of an identifier that lies in a catalog of folders, or null. */
    private String[] name(LogicalPlan child) {
        List parts;
        if (child instanceof UnresolvedIdentifier) {
            parts = CollectionConverters.asJava(((UnresolvedIdentifier) child).nameParts());
        } else if (child instanceof UnresolvedFunctionName) {
            parts = CollectionConverters.asJava(((UnresolvedFunctionName) child).multipartIdentifier());
        } else {
            return null;
        }
        String catalog = session.sessionState().catalogManager().currentCatalog().name();
        String[] schema = session.sessionState().catalogManager().currentNamespace();
        int count = parts.size();
        if (count > 2) {
            catalog = (String) parts.get(0);
        }
        if (count > 3 || !isOurs(catalog)) {
            return null;
        }
        String in = count > 1 ? (String) parts.get(count - 2) : String.join(".", schema);
        return new String[] {catalog, in, (String) parts.get(count - 1)};
    }

    private LogicalPlan parsed(String text) {
        try {
            return spark.parsePlan(text);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private static String callIn(String[] name, Object... statement) {
        Object[] whole = new Object[statement.length + 6];
        System.arraycopy(statement, 0, whole, 0, statement.length);
        for (int i = 0; i < 3; i++) {
            whole[statement.length + 2 * i] = new String[] {"catalog", "schema", "name"}[i];
            whole[statement.length + 2 * i + 1] = name[i];
        }
        return call(whole);
    }

    /** The call of a procedure that does what the statement says: its kind, then keys and values. */
    private static String call(Object... statement) {
        Map said = new HashMap();
        said.put("statement", statement[0]);
        for (int i = 1; i < statement.length; i += 2) {
            said.put(statement[i], statement[i + 1]);
        }
        String json = Statement.write(said).replace("\\", "\\\\").replace("'", "\\'");
        return "CALL main.system.statement('" + json + "')";
    }

    private static Pattern statement(String pattern) {
        return Pattern.compile(
            "(?:\\s|--[^\\n]*(?:\\n|$)|/\\*.*?\\*/)*" + pattern + "\\s*;?\\s*",
            Pattern.CASE_INSENSITIVE | Pattern.DOTALL);
    }

    private static String flag(String words) {
        return words == null ? "false" : "true";
    }

    private static Object orNull(Option option) {
        return option.isDefined() ? option.get() : null;
    }

    private static String unquoted(String name) {
        return name.startsWith("`") ? name.substring(1, name.length() - 1).replace("``", "`") : name;
    }
}
