package devkit;

import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import scala.Function1;
import scala.Option;
import scala.Some;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractPartialFunction;
import scala.runtime.BoxedUnit;

/**
 * Keeps a stream's credentials out of the text of its plan: {@code spark.sql.extensions=devkit.PlanRedaction}.
 *
 * <p>A streaming source that also has a Version 1 reader, as Kafka has, carries its options a second time, in the
 * Version 1 relation that is its fall-back, and there Spark before 4.2 redacts nothing. A micro-batch does not use it,
 * so it goes while the plan is analysed: before there is an error, a log line or an answer that could show it.
 */
public final class PlanRedaction extends AbstractFunction1 {
    public Object apply(Object extensions) {
        ((SparkSessionExtensions) extensions).injectResolutionRule(new AbstractFunction1() {
            public Object apply(Object session) {
                return new WithoutFallBack();
            }
        });
        return BoxedUnit.UNIT;
    }

    private static final class WithoutFallBack extends Rule {
        public TreeNode apply(TreeNode plan) {
            return ((LogicalPlan) plan).resolveOperators(new AbstractPartialFunction() {
                public boolean isDefinedAt(Object node) {
                    return isNamed(node, "StreamingRelationV2");
                }

                public Object applyOrElse(Object node, Function1 otherwise) {
                    return isDefinedAt(node) ? without((LogicalPlan) node) : otherwise.apply(node);
                }
            });
        }

        private static TreeNode without(LogicalPlan relation) {
            Object[] parts = new Object[relation.productArity()];
            boolean found = false;
            for (int place = 0; place < parts.length; place++) {
                Object part = relation.productElement(place);
                boolean isFallBack = part instanceof Some && isNamed(((Some) part).value(), "StreamingRelation");
                parts[place] = isFallBack ? Option.empty() : part;
                found |= isFallBack;
            }
            return found ? relation.makeCopy(parts) : relation;
        }

        private static boolean isNamed(Object node, String name) {
            return node.getClass().getSimpleName().equals(name); // its package differs from version to version
        }
    }
}
