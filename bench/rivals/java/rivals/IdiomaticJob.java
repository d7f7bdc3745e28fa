package rivals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.Union;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** The windows as most Java developers would write them: Jackson, a POJO, keyBy, window, aggregate. */
public final class IdiomaticJob {
    private IdiomaticJob() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = new Settings(arguments);
        StreamExecutionEnvironment env = Flink.environment(settings);
        SingleOutputStreamOperator<Event> events = Flink.read(env, settings).process(new Parse());
        DataStream<Tuple2<String, Long>> kinds =
                events.map(event -> Tuple2.of(event.kind(), 1L)).returns(Types.TUPLE(Types.STRING, Types.LONG));
        DataStream<Tuple2<String, Long>> sales =
                events.filter(Event::isPurchase)
                        .flatMap(
                                (Event event, Collector<Tuple2<String, Long>> out) ->
                                        event.items.forEach(
                                                item ->
                                                        out.collect(
                                                                Tuple2.of(
                                                                        item.category + "|" + event.currency,
                                                                        item.minorUnits()))))
                        .returns(Types.TUPLE(Types.STRING, Types.LONG));
        DataStream<Tuple2<String, String>> visitors =
                events.flatMap(
                                (Event event, Collector<Tuple2<String, String>> out) -> {
                                    out.collect(Tuple2.of(event.source, event.visitorId));
                                    out.collect(Tuple2.of("all", event.visitorId));
                                })
                        .returns(Types.TUPLE(Types.STRING, Types.STRING));
        DataStream<String> rows =
                windowed(kinds, new Sum(), "event_count", settings)
                        .union(windowed(sales, new Sum(), "revenue", settings))
                        .union(windowed(visitors, new Distinct(), "unique_visitors", settings));
        Flink.write(rows, settings, settings.rowsTopic);
        Flink.write(events.getSideOutput(Flink.LETTERS), settings, settings.lettersTopic);
        env.execute("rival");
    }

    private static <V, A> DataStream<String> windowed(
            DataStream<Tuple2<String, V>> keyed,
            AggregateFunction<Tuple2<String, V>, A, Long> aggregate,
            String metric,
            Settings settings) {
        KeySelector<Tuple2<String, V>, String> key = pair -> pair.f0;
        return keyed.keyBy(key, Types.STRING)
                .window(TumblingEventTimeWindows.of(settings.window))
                .allowedLateness(settings.lateness)
                .aggregate(aggregate, new ToRow(metric));
    }

    private static final class Parse extends ProcessFunction<byte[], Event> {
        private static final long serialVersionUID = 1L;

        @Override
        public void processElement(byte[] value, Context context, Collector<Event> out) {
            try {
                out.collect(Event.parse(value));
            } catch (IOException exception) {
                context.output(Flink.LETTERS, new String(value, StandardCharsets.UTF_8));
            }
        }
    }

    private static final class Sum implements AggregateFunction<Tuple2<String, Long>, Long, Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public Long createAccumulator() {
            return 0L;
        }

        @Override
        public Long add(Tuple2<String, Long> value, Long sum) {
            return sum + value.f1;
        }

        @Override
        public Long getResult(Long sum) {
            return sum;
        }

        @Override
        public Long merge(Long first, Long second) {
            return first + second;
        }
    }

    private static final class Distinct implements AggregateFunction<Tuple2<String, String>, HllSketch, Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public HllSketch createAccumulator() {
            return new HllSketch(15);
        }

        @Override
        public HllSketch add(Tuple2<String, String> value, HllSketch sketch) {
            sketch.update(value.f1);
            return sketch;
        }

        @Override
        public Long getResult(HllSketch sketch) {
            return Math.round(sketch.getEstimate());
        }

        @Override
        public HllSketch merge(HllSketch first, HllSketch second) {
            Union union = new Union(15);
            union.update(first);
            union.update(second);
            return union.getResult();
        }
    }

    private static final class ToRow extends ProcessWindowFunction<Long, String, String, TimeWindow> {
        private static final long serialVersionUID = 1L;
        private final String metric;

        ToRow(String metric) {
            this.metric = metric;
        }

        @Override
        public void process(String key, Context context, Iterable<Long> values, Collector<String> out) {
            String[] names = key.split("\\|");
            String currency = names.length > 1 ? names[1] : "";
            for (long value : values) {
                out.collect(Rows.row(context.window().getStart(), metric, names[0], currency, value));
            }
        }
    }
}
