package rtea;

import java.util.List;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.Admin;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.Uuid;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Stores the id of the events topic in every checkpoint, next to the offsets. Fails the job if the topic has
 * another id: it was deleted and recreated, and the old offsets would skip records of the new topic.
 */
public final class TopicGuard extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<byte[], byte[]> {
    private static final long serialVersionUID = 1L;
    private static final int ANSWER_SECONDS = 10;
    private static final int INTERVAL_SECONDS = 2;

    private final String topic;
    private final Properties properties;

    private transient ListState<String> kept;
    private transient String id;
    private transient Admin admin;
    private transient ScheduledExecutorService watch;
    private transient volatile String changedTo;

    public TopicGuard(String topic, Properties properties) {
        this.topic = topic;
        this.properties = properties;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        // A union list: after rescaling, every subtask gets all ids.
        kept = context.getOperatorStateStore().getUnionListState(new ListStateDescriptor<>("topic-id", Types.STRING));
        admin = Admin.create(properties);
        id = currentId();
        for (String known : kept.get()) {
            requireSame(known, id);
        }
        watch =
                Executors.newSingleThreadScheduledExecutor(
                        task -> {
                            Thread thread = new Thread(task, "rtea-topic-guard");
                            thread.setDaemon(true);
                            return thread;
                        });
        watch.scheduleWithFixedDelay(this::look, INTERVAL_SECONDS, INTERVAL_SECONDS, TimeUnit.SECONDS);
    }

    private String currentId() throws Exception {
        Uuid found =
                admin.describeTopics(List.of(topic))
                        .topicNameValues()
                        .get(topic)
                        .get(ANSWER_SECONDS, TimeUnit.SECONDS)
                        .topicId();
        return found.toString();
    }

    private void look() {
        try {
            String found = currentId();
            if (!found.equals(id)) {
                changedTo = found;
            }
        } catch (Exception exception) {
            // The brokers or the topic may be unavailable: the next look finds out.
            LOG.debug("Cannot read the id of topic {} at the moment.", topic, exception);
        }
    }

    private void requireSame(String known, String found) {
        if (!known.equals(found)) {
            throw new IllegalStateException(
                    "topic " + topic + " was deleted and recreated: its id is " + found + ", the offsets are of " + known
                            + ": submit the job without a savepoint, to read the new topic from its start");
        }
    }

    private void check() {
        if (changedTo != null) {
            requireSame(id, changedTo);
        }
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpointId) {
        check();
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        kept.update(List.of(id));
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        check();
        output.collect(element);
    }

    /** Keeps the source's idleness from the operators behind: {@link Watermarks} decides it. */
    @Override
    public void processWatermarkStatus(WatermarkStatus status) {}

    /** Announces the end that a drain makes: of a source that is idle, Flink announces none. */
    @Override
    public void finish() throws Exception {
        output.emitWatermark(Watermark.MAX_WATERMARK);
        super.finish();
    }

    @Override
    public void close() throws Exception {
        if (watch != null) {
            watch.shutdownNow();
        }
        if (admin != null) {
            admin.close(java.time.Duration.ZERO);
        }
        super.close();
    }
}
