package devkit.catalog;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.analysis.UnresolvedFunction;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.Identifier;
import scala.Function1;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractPartialFunction;

/**
 * Lets queries call the SQL functions of a catalog of folders, by one, two or three names.
 *
 * <p>Only the session catalog can hold such a function, so each call is given the name that {@link SessionTables} has made
 * it known by there. A function of Spark's own and one of the session go before one of the same single name.
 */
final class FunctionRule extends Rule {
    private final SparkSession session;

    FunctionRule(SparkSession session) {
        this.session = session;
    }

    public TreeNode apply(TreeNode plan) {
        return session.conf().contains(CatalogParser.ROOT) ? ((LogicalPlan) plan).resolveExpressions(new Calls()) : plan;
    }

    private String nameInSession(UnresolvedFunction call) {
        List parts = CollectionConverters.asJava(call.nameParts());
        int count = parts.size();
        String name = (String) parts.get(count - 1);
        if (count > 3 || call.isInternal() || count == 1 && isSessions(name)) {
            return null;
        }
        String catalog = count == 3 ? (String) parts.get(0) : session.sessionState().catalogManager().currentCatalog().name();
        String schema = count > 1 ? (String) parts.get(count - 2)
            : String.join(".", session.sessionState().catalogManager().currentNamespace());
        if (!CatalogParser.isOurs(session, catalog)) {
            return null;
        }
        Identifier ident = Identifier.of(new String[] {schema}, name);
        View function = Folders.of(session.conf().get(CatalogParser.ROOT), catalog).function(ident);
        return function == null ? null : SessionTables.function(session, catalog, ident, function);
    }

    private boolean isSessions(String name) {
        FunctionIdentifier plain = new FunctionIdentifier(name);
        return session.sessionState().functionRegistry().functionExists(plain);
    }

    private final class Calls extends AbstractPartialFunction {
        public boolean isDefinedAt(Object expression) {
            return expression instanceof UnresolvedFunction && nameInSession((UnresolvedFunction) expression) != null;
        }

        public Object applyOrElse(Object expression, Function1 otherwise) {
            String name = expression instanceof UnresolvedFunction ? nameInSession((UnresolvedFunction) expression) : null;
            if (name == null) {
                return otherwise.apply(expression);
            }
            List arguments = new ArrayList(CollectionConverters.asJava(((UnresolvedFunction) expression).productIterator().toSeq()));
            List parts = new ArrayList();
            parts.add("spark_catalog");
            parts.add("default");
            parts.add(name);
            arguments.set(0, CollectionConverters.asScala(parts).toSeq());
            return ((UnresolvedFunction) expression).makeCopy(arguments.toArray());
        }
    }
}
