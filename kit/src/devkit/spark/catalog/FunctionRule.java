package devkit.catalog;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.analysis.UnresolvedFunction;
import org.apache.spark.sql.catalyst.analysis.UnresolvedTableValuedFunction;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.unsafe.Platform;
import scala.Function1;
import scala.Product;
import scala.collection.immutable.Map;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractPartialFunction;

/**
 * Lets queries call the SQL functions of a catalog of folders, of values and of tables, by one, two or three names.
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
        if (!session.conf().contains(CatalogParser.ROOT)) {
            return plan;
        }
        Calls calls = new Calls();
        return ((LogicalPlan) ((LogicalPlan) plan).resolveExpressions(calls)).resolveOperators(calls);
    }

    private String nameInSession(Object call) {
        boolean isTable = call instanceof UnresolvedTableValuedFunction;
        if (!isTable && (!(call instanceof UnresolvedFunction) || ((UnresolvedFunction) call).isInternal())) {
            return null;
        }
        List parts = CollectionConverters.asJava(
            isTable ? ((UnresolvedTableValuedFunction) call).name() : ((UnresolvedFunction) call).nameParts());
        if (isTable) {
            parts = Arrays.asList(String.join(".", parts).split("\\.")); // CatalogParser makes them one
        }
        int count = parts.size();
        String name = (String) parts.get(count - 1);
        if (count > 3 || count == 1 && isSessions(name, isTable)) {
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
        if (function == null && isTable) { // else Spark says that the catalog has no such functions at all
            Platform.throwException(new AnalysisException("UNRESOLVABLE_TABLE_VALUED_FUNCTION",
                new Map.Map1("name", View.quoted(String.join(".", parts))), ((TreeNode) call).origin()));
        }
        return function == null ? null : SessionTables.function(session, catalog, ident, function);
    }

    private boolean isSessions(String name, boolean isTable) {
        FunctionIdentifier plain = new FunctionIdentifier(name);
        return isTable ? session.sessionState().tableFunctionRegistry().functionExists(plain)
            : session.sessionState().functionRegistry().functionExists(plain);
    }

    private final class Calls extends AbstractPartialFunction {
        public boolean isDefinedAt(Object node) {
            return nameInSession(node) != null;
        }

        public Object applyOrElse(Object node, Function1 otherwise) {
            String name = nameInSession(node);
            if (name == null) {
                return otherwise.apply(node);
            }
            List arguments = new ArrayList(CollectionConverters.asJava(((Product) node).productIterator().toSeq()));
            List parts = new ArrayList();
            parts.add("spark_catalog");
            parts.add("default");
            parts.add(name);
            arguments.set(0, CollectionConverters.asScala(parts).toSeq());
            return ((TreeNode) node).makeCopy(arguments.toArray());
        }
    }
}
