package devkit.catalog;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/** Rows that are here already: what a statement or a relation of {@code information_schema} answers. */
final class Rows implements LocalScan {
    private final StructType schema;
    private final List rows = new ArrayList();

    Rows(String columns) {
        schema = StructType.fromDDL(columns);
    }

    /** Add a row of texts, and of numbers as Spark keeps them inside. */
    Rows add(Object[] values) {
        Object[] cells = new Object[values.length];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = values[i] instanceof String ? UTF8String.fromString((String) values[i]) : values[i];
        }
        rows.add(new GenericInternalRow(cells));
        return this;
    }

    public StructType readSchema() {
        return schema;
    }

    public InternalRow[] rows() {
        return (InternalRow[]) rows.toArray(new InternalRow[0]);
    }
}
