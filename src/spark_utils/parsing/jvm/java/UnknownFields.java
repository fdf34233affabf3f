package spark_utils.parsing;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.spark.unsafe.types.UTF8String;

/** The fields of one body that the schema does not know: where they stand, and their JSON as it was written. */
final class UnknownFields {
    private static final byte[] CONTROL_0 = "\\u000".getBytes();
    private static final byte[] CONTROL_1 = "\\u001".getBytes();
    private static final int COPIES_OF_KEYS = 4; // as in reference.py, as are the texts
    private final String policy;
    private final long longestPaths;
    private final List<Field> found = new ArrayList<>();

    UnknownFields(String policy, int maxBodyBytes) {
        this.policy = policy;
        this.longestPaths = (long) COPIES_OF_KEYS * maxBodyBytes;
    }

    static final class Field {
        final List<Object> path = new ArrayList<>(); // names, indices and keys, from the field up to the root
        byte[] value;
    }

    int count() {
        return found.size();
    }

    void add(Collection<Field> fields) {
        RejectedBody.unless(!policy.equals("reject"));
        found.addAll(fields);
    }

    /** Say that the fields after the first so many stand below a field (its name), an element or an entry. */
    void below(Object part, int first) {
        for (int i = first; i < found.size(); i++) {
            found.get(i).path.add(part);
        }
    }

    /** Take back the fields after the first so many, to be added later. */
    List<Field> cut(int first) {
        List<Field> tail = found.subList(first, found.size());
        List<Field> fields = new ArrayList<>(tail);
        tail.clear();
        return fields;
    }

    /** What the column holds: a JSON object from path to value, null, or how many there are. */
    Object result() {
        if (policy.equals("count")) {
            return Integer.valueOf(found.size());
        }
        if (found.isEmpty()) {
            return null;
        }
        RejectedBody.unless(found.size() <= COPIES_OF_KEYS || pathLengths() <= longestPaths);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (int i = 0; i < found.size(); i++) {
            Field field = found.get(i);
            out.write(i == 0 ? '{' : ',');
            quote(pathText(field.path), out);
            out.write(':');
            out.write(field.value, 0, field.value.length);
        }
        out.write('}');
        return UTF8String.fromBytes(out.toByteArray());
    }

    private long pathLengths() {
        long length = 0;
        for (Field field : found) {
            for (Object name : field.path) {
                length += name instanceof UTF8String ? ((UTF8String) name).numChars() : name.toString().length();
            }
        }
        return length;
    }

    /** Read the value of an unknown field, of any type, as compact JSON. */
    static Field read(UTF8String key, JsonCursor in) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        copy(in, out);
        Field field = new Field();
        field.path.add(key);
        field.value = out.toByteArray();
        return field;
    }

    private static byte[] pathText(List<Object> path) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (int i = path.size() - 1; i >= 0; i--) {
            Object part = path.get(i);
            byte[] text = part.toString().getBytes(StandardCharsets.UTF_8);
            if (part instanceof Integer) {
                out.write('[');
                out.write(text, 0, text.length);
                out.write(']');
            } else if (!isPlainName(text)) {
                out.write('[');
                quote(text, out);
                out.write(']');
            } else {
                if (out.size() > 0) {
                    out.write('.');
                }
                out.write(text, 0, text.length);
            }
        }
        return out.toByteArray();
    }

    private static boolean isPlainName(byte[] text) {
        for (int i = 0; i < text.length; i++) {
            boolean isLetter = text[i] >= 'a' && text[i] <= 'z' || text[i] >= 'A' && text[i] <= 'Z' || text[i] == '_';
            if (!isLetter && (i == 0 || text[i] < '0' || text[i] > '9')) {
                return false;
            }
        }
        return text.length > 0;
    }

    private static void copy(JsonCursor in, ByteArrayOutputStream out) {
        byte first = in.look();
        if (first == '{') {
            copyObject(in, out);
        } else if (first == '[') {
            copyArray(in, out);
        } else if (first == '"') {
            quote(in.string().getBytes(), out);
        } else {
            int start = in.at;
            if (first == 't' || first == 'f' || first == 'n') {
                in.word(first == 't' ? "true" : first == 'f' ? "false" : "null");
            } else {
                in.numberText();
            }
            out.write(in.bytes, start, in.at - start);
        }
    }

    private static void copyObject(JsonCursor in, ByteArrayOutputStream out) {
        Set<UTF8String> keys = new HashSet<>();
        out.write('{');
        in.open('{');
        boolean more = !in.isEmpty('}');
        while (more) {
            in.look();
            UTF8String key = in.string();
            RejectedBody.unless(keys.add(key));
            quote(key.getBytes(), out);
            in.colon();
            out.write(':');
            copy(in, out);
            more = in.hasNext('}');
            if (more) {
                out.write(',');
            }
        }
        out.write('}');
    }

    private static void copyArray(JsonCursor in, ByteArrayOutputStream out) {
        out.write('[');
        in.open('[');
        boolean more = !in.isEmpty(']');
        while (more) {
            copy(in, out);
            more = in.hasNext(']');
            if (more) {
                out.write(',');
            }
        }
        out.write(']');
    }

    /** Write a string as Python's `json` does: escapes for quotes, backslashes and control characters only. */
    private static void quote(byte[] text, ByteArrayOutputStream out) {
        out.write('"');
        for (int i = 0; i < text.length; i++) {
            int escape = "\"\\\b\f\n\r\t".indexOf(text[i]);
            if (escape >= 0) {
                out.write('\\');
                out.write("\"\\bfnrt".charAt(escape));
            } else if (text[i] >= 0 && text[i] < ' ') {
                out.write(text[i] < 16 ? CONTROL_0 : CONTROL_1, 0, 5);
                out.write("0123456789abcdef".charAt(text[i] & 15));
            } else {
                out.write(text[i]);
            }
        }
        out.write('"');
    }
}
