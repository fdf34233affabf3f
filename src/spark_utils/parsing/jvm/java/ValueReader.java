package spark_utils.parsing;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/** Reads the values of one declared type; these are what a Java function may return to Spark. */
abstract class ValueReader {
    /** Read the value that the cursor stands at, and which is not null. */
    abstract Object read(JsonCursor in);

    static ValueReader of(DataType type) {
        if (type instanceof StructType) {
            return new StructReader((StructType) type);
        }
        if (type instanceof ArrayType) {
            return new ArrayReader((ArrayType) type);
        }
        if (type instanceof MapType) {
            return new MapReader((MapType) type);
        }
        return ScalarReader.of(type);
    }

    private static final class StructReader extends ValueReader {
        private static final Object NULL = new Object();
        private final UTF8String[] names;
        private final byte[][] plainNames;
        private final ValueReader[] readers;
        private final boolean[] required;
        private final Map<UTF8String, Integer> places = new HashMap<>();

        StructReader(StructType type) {
            int count = type.fields().length;
            names = new UTF8String[count];
            plainNames = new byte[count][];
            readers = new ValueReader[count];
            required = new boolean[count];
            for (int i = 0; i < count; i++) {
                StructField field = type.fields()[i];
                names[i] = UTF8String.fromString(field.name());
                plainNames[i] = isWrittenAsIs(field.name()) ? names[i].getBytes() : null;
                readers[i] = ValueReader.of(field.dataType());
                required[i] = !field.nullable();
                places.put(names[i], i);
            }
        }

        private static boolean isWrittenAsIs(String name) {
            for (int i = 0; i < name.length(); i++) {
                if (name.charAt(i) == '"' || name.charAt(i) == '\\' || name.charAt(i) < ' ') {
                    return false;
                }
            }
            return true;
        }

        Object read(JsonCursor in) {
            Object[] values = new Object[readers.length];
            in.open('{');
            if (!in.isEmpty('}')) {
                readFields(in, values);
            }
            for (int i = 0; i < values.length; i++) {
                if (values[i] == null || values[i] == NULL) {
                    RejectedBody.unless(!required[i]);
                    values[i] = null;
                }
            }
            return RowFactory.create(values);
        }

        private void readFields(JsonCursor in, Object[] values) {
            Map<UTF8String, UnknownFields.Field> unknown = null;
            int next = 0;
            Map<Integer, List<UnknownFields.Field>> inFields = null;
            do {
                in.look();
                int place = next;
                UTF8String key = null;
                if (next >= values.length || !in.takeKey(plainNames[next])) {
                    key = in.string();
                    Integer found = places.get(key);
                    place = found == null ? -1 : found;
                }
                in.colon();
                if (place < 0) {
                    unknown = unknown == null ? new LinkedHashMap<>() : unknown;
                    RejectedBody.unless(unknown.put(key, UnknownFields.read(key, in)) == null);
                } else {
                    RejectedBody.unless(values[place] == null);
                    int before = in.unknown.count();
                    values[place] = in.takeNull() ? NULL : readers[place].read(in);
                    next = place + 1;
                    if (in.unknown.count() > before) {
                        in.unknown.below(names[place], before);
                        inFields = inFields == null ? new TreeMap<>() : inFields; // by place: in the schema's order
                        inFields.put(place, in.unknown.cut(before));
                    }
                }
            } while (in.hasNext('}'));
            addUnknown(in, inFields, unknown);
        }

        private static void addUnknown(
                JsonCursor in, Map<Integer, List<UnknownFields.Field>> inFields, Map<UTF8String, UnknownFields.Field> own) {
            if (inFields != null) {
                inFields.values().forEach(in.unknown::add);
            }
            if (own != null) {
                in.unknown.add(own.values());
            }
        }
    }

    /** What arrays and maps have in common. */
    private abstract static class ItemsReader extends ValueReader {
        private final ValueReader items;
        private final boolean mayBeNull;

        ItemsReader(DataType type, boolean mayBeNull) {
            items = ValueReader.of(type);
            this.mayBeNull = mayBeNull;
        }

        /** Read an element or the value of an entry, which may be null; `part` is its index or its key. */
        final Object readItem(JsonCursor in, Object part) {
            if (in.takeNull()) {
                RejectedBody.unless(mayBeNull);
                return null;
            }
            int before = in.unknown.count();
            Object item = items.read(in);
            in.unknown.below(part, before);
            return item;
        }
    }

    private static final class ArrayReader extends ItemsReader {
        ArrayReader(ArrayType type) {
            super(type.elementType(), type.containsNull());
        }

        Object read(JsonCursor in) {
            Object[] values = new Object[8];
            int count = 0;
            in.open('[');
            boolean more = !in.isEmpty(']');
            while (more) {
                in.look();
                if (count == values.length) {
                    values = Arrays.copyOf(values, 2 * count);
                }
                values[count] = readItem(in, count);
                count++;
                more = in.hasNext(']');
            }
            return Arrays.copyOf(values, count);
        }
    }

    private static final class MapReader extends ItemsReader {
        MapReader(MapType type) {
            super(type.valueType(), type.valueContainsNull());
        }

        Object read(JsonCursor in) {
            Map<UTF8String, Object> entries = new LinkedHashMap<>();
            int count = 0;
            in.open('{');
            boolean more = !in.isEmpty('}');
            while (more) {
                in.look();
                UTF8String key = in.string();
                in.colon();
                entries.put(key, readItem(in, key));
                count++;
                more = in.hasNext('}');
            }
            RejectedBody.unless(entries.size() == count);
            return entries;
        }
    }
}
