package devkit.catalog;

import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.classic.SparkSession;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/** Puts {@link CatalogParser} before Spark's parser, and {@link FunctionRule} into its analysis: {@code spark.sql.extensions=devkit.catalog.CatalogExtension}. */
public final class CatalogExtension extends AbstractFunction1 {
    public Object apply(Object extensions) {
        ((SparkSessionExtensions) extensions).injectParser(new AbstractFunction2() {
            public Object apply(Object session, Object parser) {
                return CatalogParser.before((ParserInterface) parser, (SparkSession) session);
            }
        });
        ((SparkSessionExtensions) extensions).injectHintResolutionRule(new AbstractFunction1() { // before names are looked up
            public Object apply(Object session) {
                return new FunctionRule((SparkSession) session);
            }
        });
        return BoxedUnit.UNIT;
    }
}
