package devkit.autoloader;

import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.UnresolvedDataSource;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.classic.SparkSession;
import scala.Function1;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractPartialFunction;
import scala.runtime.BoxedUnit;

/** Puts Spark's file source in the place of {@code format("cloudFiles")}: {@code spark.sql.extensions=devkit.autoloader.AutoLoader}. */
public final class AutoLoader extends AbstractFunction1 {
    public Object apply(Object extensions) {
        ((SparkSessionExtensions) extensions).injectHintResolutionRule(new AbstractFunction1() { // before sources are looked up
            public Object apply(Object session) {
                return new InPlaceOfCloudFiles((SparkSession) session);
            }
        });
        return BoxedUnit.UNIT;
    }

    private static final class InPlaceOfCloudFiles extends Rule {
        private final SparkSession session;

        InPlaceOfCloudFiles(SparkSession session) {
            this.session = session;
        }

        public TreeNode apply(TreeNode plan) {
            return ((LogicalPlan) plan).resolveOperators(new AbstractPartialFunction() {
                public boolean isDefinedAt(Object node) {
                    return node instanceof UnresolvedDataSource && Options.areOf(((UnresolvedDataSource) node).format());
                }

                public Object applyOrElse(Object node, Function1 otherwise) {
                    if (!isDefinedAt(node)) {
                        return otherwise.apply(node);
                    }
                    return new Files(session, (UnresolvedDataSource) node).frame().queryExecution().analyzed();
                }
            });
        }
    }
}
