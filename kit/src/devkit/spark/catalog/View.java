package devkit.catalog;

import java.util.List;
import java.util.Map;
import org.apache.spark.sql.classic.SparkSession;

/** A view: its query, and the catalog and schema in which it was created, which its names are resolved in. */
final class View {
    private final Map content;
    private final long changed;

    View(Map content, long changed) {
        this.content = content;
        this.changed = changed;
    }

    /** Tells a view from what it was before it was replaced. */
    String version() {
        return changed + " " + content.get("query");
    }

    /** Create it in the session catalog, its names resolved as where it was first created. */
    void create(SparkSession session, String name) {
        SparkSession creating = session.newSession();
        creating.sql("SET CATALOG " + quoted(content.get("catalog")));
        creating.sql("USE " + quoted(content.get("schema")));
        creating.sql("CREATE OR REPLACE VIEW " + name + columns() + " AS " + content.get("query"));
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
