package rivals;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.Collector;

/** The windows as somebody would write them who knows Flink well: a streaming parser, and aggregation before keyBy. */
public final class ExpertJob {
    private ExpertJob() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = new Settings(arguments);
        StreamExecutionEnvironment env = Flink.environment(settings);
        SingleOutputStreamOperator<Tuple2<Long, byte[]>> tallies =
                Flink.read(env, settings)
                        .transform(
                                "pre-aggregate",
                                Types.TUPLE(Types.LONG, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO),
                                new PreAggregate(settings.window.toMillis()));
        DataStream<String> rows =
                tallies.keyBy(tally -> tally.f0, Types.LONG)
                        .window(TumblingEventTimeWindows.of(settings.window))
                        .allowedLateness(settings.lateness)
                        .aggregate(new Merge(), new ToRows());
        Flink.write(rows, settings, settings.rowsTopic);
        Flink.write(tallies.getSideOutput(Flink.LETTERS), settings, settings.lettersTopic);
        env.execute("rival");
    }

    /** Parses events and adds them up by window, until a checkpoint, a watermark or enough of them. */
    private static final class PreAggregate extends AbstractStreamOperator<Tuple2<Long, byte[]>>
            implements OneInputStreamOperator<byte[], Tuple2<Long, byte[]>> {
        private static final long serialVersionUID = 1L;
        private static final int FLUSH_EVENTS = 20_000;

        private final long windowMs;
        private transient JsonFactory json;
        private transient Map<Long, Tally> tallies;
        private transient int events;
        private transient long flushedMs;

        PreAggregate(long windowMs) {
            this.windowMs = windowMs;
        }

        @Override
        public void open() throws Exception {
            super.open();
            json = new JsonFactory();
            tallies = new HashMap<>();
        }

        @Override
        public void processElement(StreamRecord<byte[]> element) throws Exception {
            try {
                add(element.getValue());
            } catch (IOException | RuntimeException exception) {
                output.collect(
                        Flink.LETTERS,
                        new StreamRecord<>(new String(element.getValue(), StandardCharsets.UTF_8)));
            }
            if (++events >= FLUSH_EVENTS) {
                flush();
            }
        }

        private void add(byte[] value) throws IOException {
            String type = null;
            String source = null;
            String visitor = null;
            String currency = "USD";
            long timeMs = 0;
            Map<String, Long> sales = null;
            try (JsonParser parser = json.createParser(value)) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    throw new IOException("not an object");
                }
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    JsonToken token = parser.nextToken();
                    switch (name) {
                        case "event_type":
                            type = parser.getText();
                            break;
                        case "source":
                            source = parser.getText();
                            break;
                        case "visitor_id":
                            visitor = parser.getText();
                            break;
                        case "event_time":
                            timeMs = parser.getLongValue();
                            break;
                        case "currency":
                            currency = parser.getText();
                            break;
                        case "items":
                            sales = token == JsonToken.START_ARRAY ? items(parser) : null;
                            break;
                        default:
                            parser.skipChildren();
                    }
                }
            }
            boolean isKnownSource = "mobile".equals(source) || "website".equals(source);
            if (type == null || visitor == null || timeMs <= 0 || !isKnownSource) {
                throw new IOException("not an event");
            }
            Tally tally = tallies.computeIfAbsent(timeMs - timeMs % windowMs, any -> new Tally());
            tally.count(type + "_" + source);
            tally.visit(source, visitor.getBytes(StandardCharsets.UTF_8));
            if (type.equals("purchase") && sales != null) {
                for (Map.Entry<String, Long> sale : sales.entrySet()) {
                    tally.sell(sale.getKey(), currency, sale.getValue());
                }
            }
        }

        private static Map<String, Long> items(JsonParser parser) throws IOException {
            Map<String, Long> sales = new HashMap<>();
            while (parser.nextToken() == JsonToken.START_OBJECT) {
                String category = null;
                BigDecimal price = BigDecimal.ZERO;
                int quantity = 1;
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    parser.nextToken();
                    switch (name) {
                        case "category":
                            category = parser.getText();
                            break;
                        case "price":
                            price = parser.getDecimalValue();
                            break;
                        case "quantity":
                            quantity = parser.getIntValue();
                            break;
                        default:
                            parser.skipChildren();
                    }
                }
                sales.merge(category, price.movePointRight(2).longValueExact() * quantity, Long::sum);
            }
            return sales;
        }

        private void flush() throws IOException {
            for (Map.Entry<Long, Tally> entry : tallies.entrySet()) {
                output.collect(
                        new StreamRecord<>(Tuple2.of(entry.getKey(), entry.getValue().toBytes()), entry.getKey()));
            }
            tallies.clear();
            events = 0;
        }

        @Override
        public void processWatermark(Watermark mark) throws Exception {
            // Only a watermark that ends a window needs what came before it.
            if (mark.getTimestamp() / windowMs != flushedMs / windowMs) {
                flushedMs = mark.getTimestamp();
                flush();
            }
            super.processWatermark(mark);
        }

        @Override
        public void prepareSnapshotPreBarrier(long checkpointId) throws Exception {
            flush();
        }
    }

    private static final class Merge implements AggregateFunction<Tuple2<Long, byte[]>, byte[], byte[]> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] createAccumulator() {
            return new byte[0];
        }

        @Override
        public byte[] add(Tuple2<Long, byte[]> value, byte[] sum) {
            return merge(sum, value.f1);
        }

        @Override
        public byte[] getResult(byte[] sum) {
            return sum;
        }

        @Override
        public byte[] merge(byte[] first, byte[] second) {
            if (first.length == 0) {
                return second;
            }
            try {
                Tally tally = new Tally();
                tally.merge(first);
                tally.merge(second);
                return tally.toBytes();
            } catch (IOException exception) {
                throw new IllegalStateException(exception);
            }
        }
    }

    private static final class ToRows extends ProcessWindowFunction<byte[], String, Long, TimeWindow> {
        private static final long serialVersionUID = 1L;

        @Override
        public void process(Long key, Context context, Iterable<byte[]> tallies, Collector<String> out)
                throws IOException {
            for (byte[] bytes : tallies) {
                Tally tally = new Tally();
                tally.merge(bytes);
                tally.rows(context.window().getStart()).forEach(out::collect);
            }
        }
    }
}
