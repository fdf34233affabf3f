package spark_utils.parsing;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF3;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;

/**
 * Reads good bodies by one pass over their bytes, and gives back the others: the reference in Python says why they are
 * rejected. Good is what `reference.py` calls good, neither more nor less.
 */
public final class BodyReader implements UDF3<byte[], byte[], Integer, Row> {
    private transient volatile Specification latest;

    /**
     * From body to (event, unknown fields), or to null where it is not good.
     *
     * @param specification UTF-8: the largest size and depth and what becomes of undeclared fields (keep, count or
     *     reject), separated by spaces; a line feed; the declared fields, as Spark's JSON of the struct
     * @param partition not read: it comes from a nondeterministic expression, so that Spark does not read a body twice
     */
    @Override
    public Row call(byte[] body, byte[] specification, Integer partition) {
        Specification wanted = latest;
        if (wanted == null || !Arrays.equals(wanted.text, specification)) { // at once: a task has one array
            wanted = new Specification(specification);
            latest = wanted;
        }
        if (body == null || body.length > wanted.maxBodyBytes) {
            return null;
        }
        try {
            UnknownFields fields = new UnknownFields(wanted.unknown, wanted.maxBodyBytes);
            JsonCursor in = new JsonCursor(body, wanted.maxDepth, fields);
            in.look();
            Object event = wanted.root.read(in);
            in.skipSpace();
            return in.at < body.length ? null : RowFactory.create(event, fields.result());
        } catch (RuntimeException notGood) {
            return null; // a RejectedBody, a place beyond the last byte, or a fault of this class
        }
    }

    private static final class Specification {
        final byte[] text;
        final int maxBodyBytes;
        final int maxDepth;
        final String unknown;
        final ValueReader root;

        Specification(byte[] text) {
            this.text = text;
            String[] lines = new String(text, StandardCharsets.UTF_8).split("\n", 2);
            String[] limits = lines[0].split(" ");
            maxBodyBytes = Integer.parseInt(limits[0]);
            maxDepth = Integer.parseInt(limits[1]);
            unknown = limits[2];
            root = ValueReader.of((StructType) DataType.fromJson(lines[1]));
        }
    }
}
