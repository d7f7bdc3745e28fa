package rivals;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.Union;

/** What a window has counted so far, as bytes between operators: Kryo would be slower. */
final class Tally {
    private static final int PRECISION = 15;

    private final Map<String, Long> counts = new HashMap<>();
    private final Map<String, Long> revenue = new HashMap<>();
    private final Map<String, Union> visitors = new HashMap<>();

    void count(String kind) {
        counts.merge(kind, 1L, Long::sum);
    }

    void sell(String category, String currency, long minorUnits) {
        revenue.merge(category + "|" + currency, minorUnits, Long::sum);
    }

    void visit(String source, byte[] visitorId) {
        visitors.computeIfAbsent(source, any -> new Union(PRECISION)).update(visitorId);
    }

    void merge(byte[] bytes) throws IOException {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
        readNumbers(in, counts);
        readNumbers(in, revenue);
        for (int left = in.readInt(); left > 0; left--) {
            String source = in.readUTF();
            byte[] sketch = new byte[in.readInt()];
            in.readFully(sketch);
            visitors.computeIfAbsent(source, any -> new Union(PRECISION)).update(HllSketch.heapify(sketch));
        }
    }

    byte[] toBytes() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        writeNumbers(out, counts);
        writeNumbers(out, revenue);
        out.writeInt(visitors.size());
        for (Map.Entry<String, Union> entry : visitors.entrySet()) {
            byte[] sketch = entry.getValue().toCompactByteArray();
            out.writeUTF(entry.getKey());
            out.writeInt(sketch.length);
            out.write(sketch);
        }
        return bytes.toByteArray();
    }

    List<String> rows(long windowStartMs) {
        List<String> rows = new ArrayList<>();
        counts.forEach((kind, count) -> rows.add(Rows.row(windowStartMs, "event_count", kind, "", count)));
        revenue.forEach(
                (names, minor) -> {
                    String[] parts = names.split("\\|");
                    rows.add(Rows.row(windowStartMs, "revenue", parts[0], parts[1], minor));
                });
        Union all = new Union(PRECISION);
        visitors.forEach(
                (source, sketch) -> {
                    all.update(sketch.getResult());
                    rows.add(visitorsRow(windowStartMs, source, sketch));
                });
        rows.add(visitorsRow(windowStartMs, "all", all));
        return rows;
    }

    private static String visitorsRow(long windowStartMs, String source, Union sketch) {
        return Rows.row(windowStartMs, "unique_visitors", source, "", Math.round(sketch.getEstimate()));
    }

    private static void readNumbers(DataInputStream in, Map<String, Long> numbers) throws IOException {
        for (int left = in.readInt(); left > 0; left--) {
            numbers.merge(in.readUTF(), in.readLong(), Long::sum);
        }
    }

    private static void writeNumbers(DataOutputStream out, Map<String, Long> numbers) throws IOException {
        out.writeInt(numbers.size());
        for (Map.Entry<String, Long> entry : numbers.entrySet()) {
            out.writeUTF(entry.getKey());
            out.writeLong(entry.getValue());
        }
    }
}
