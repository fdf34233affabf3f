package spark_utils.parsing;

import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;

/**
 * Reads good bodies by one pass over their bytes, and gives back the others: the reference in Python says why they are
 * rejected. Good is what `reference.py` calls good, neither more nor less.
 *
 * <p>Compiled on the driver by Janino, the compiler that Spark brings along, so without what Janino lacks: the types
 * of interfaces are raw, and there are no lambdas.
 */
public final class BodyReader implements UDF1 {
    private final String schema;
    private final int maxBodyBytes;
    private final int maxDepth;
    private final String unknown;
    private transient ValueReader root;

    /**
     * @param schema the declared fields, as Spark's JSON of the struct
     * @param unknown what becomes of undeclared fields: keep, count or reject
     */
    public BodyReader(String schema, int maxBodyBytes, int maxDepth, String unknown) {
        this.schema = schema;
        this.maxBodyBytes = maxBodyBytes;
        this.maxDepth = maxDepth;
        this.unknown = unknown;
        ValueReader.of((StructType) DataType.fromJson(schema)); // refuses what it cannot read here, on the driver
    }

    /** From body to (event, unknown fields), or to null where it is not good. */
    public Object call(Object value) {
        byte[] body = (byte[]) value;
        if (body == null || body.length > maxBodyBytes) {
            return null;
        }
        if (root == null) {
            root = ValueReader.of((StructType) DataType.fromJson(schema));
        }
        try {
            UnknownFields fields = new UnknownFields(unknown, maxBodyBytes);
            JsonCursor in = new JsonCursor(body, maxDepth, fields);
            in.look();
            Object event = root.read(in);
            in.skipSpace();
            return in.at < body.length ? null : RowFactory.create(new Object[] {event, fields.result()});
        } catch (RuntimeException notGood) {
            return null; // a Doubt, a place beyond the last byte, or a fault of this class
        }
    }
}
