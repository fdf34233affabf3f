package devkit.catalog;

import java.io.File;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.classic.SparkSession;

/** A view or a SQL function: its query, and the catalog and schema in which it was created, which its names are resolved in. */
final class View {
    private final Map content;
    private final File file;

    View(Map content, File file) {
        this.content = content;
        this.file = file;
    }

    Object get(String key) {
        return content.get(key);
    }

    File file() {
        return file;
    }

    /** Tells a view from what it was before it was replaced. */
    String version() {
        return file.lastModified() + " " + content.get("parameters") + " " + content.get("query");
    }

    /** Create it in the session catalog, its names resolved as where it was first created. */
    void create(SparkSession session, String name) {
        SparkSession creating = session.newSession();
        creating.sql("SET CATALOG " + quoted(content.get("catalog")));
        creating.sql("USE " + quoted(content.get("schema")));
        creating.sql("CREATE OR REPLACE VIEW " + name + columns() + " AS " + content.get("query"));
    }

    void createFunction(SparkSession session, String name) {
        SparkSession creating = session.newSession();
        creating.sql("SET CATALOG " + quoted(content.get("catalog")));
        creating.sql("USE " + quoted(content.get("schema")));
        String returns = (String) content.get("returns");
        boolean isTable = "TABLE".equals(content.get("table"));
        returns = isTable ? "TABLE" + (returns.isEmpty() ? "" : " (" + returns + ")") : returns;
        creating.sql("CREATE OR REPLACE FUNCTION " + name + " (" + content.get("parameters") + ")"
            + (returns.isEmpty() ? "" : " RETURNS " + returns) + " RETURN " + content.get("query"));
    }

    private String columns() {
        List columns = (List) content.get("columns");
        if (columns == null || columns.isEmpty()) {
            return "";
        }
        StringBuilder text = new StringBuilder(" (");
        for (int i = 0; i < columns.size(); i++) {
            text.append(i == 0 ? "" : ", ").append(quoted(columns.get(i)));
        }
        return text.append(")").toString();
    }

    static String quoted(Object part) {
        return "`" + part.toString().replace("`", "``") + "`";
    }
}
