package rtea;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Properties;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;

/**
 * Makes the job's watermark from the progress that the fold reports, and takes the fold's elements apart ({@code
 * rtea.flink.elements} documents them). Runs before the windows, in one instance, where all partitions meet.
 *
 * <p>It keeps the watermark and the partitions in checkpoints, which Flink itself does not: a restored job starts with
 * the watermark that it had. Watermarks and idleness from before it mean nothing here, but for the end of a bounded input.
 */
public class Watermarks extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<byte[], byte[]> {
    private static final long serialVersionUID = 1L;
    private static final byte PROGRESS = (byte) 0x80;
    private static final byte PARTIAL = (byte) 0x81;
    private static final byte REFUSED = (byte) 0x82;
    private static final int PARTIAL_HEADER_BYTES = 9;
    private static final long TICK_MS = 50;

    /** Counts of refused events leave by this side. */
    private static final OutputTag<byte[]> REFUSED_TAG =
            new OutputTag<>("refused", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

    private final String topic;
    private final String group;
    private final Properties properties;
    private final long windowMs;
    private final long delayMs;
    private final long idleTimeoutMs;
    private final String startOffsets;
    private final boolean isBounded;

    private transient ListState<Long> keptWatermark;
    private transient ListState<long[]> keptPartitions;
    private transient Partitions partitions;
    private transient Looks looks;
    private transient boolean usesCommitted;
    private transient long watermarkMs;
    private transient WatermarkGauges gauges;
    private transient boolean isEmitted;
    private transient boolean hasEnded;

    /**
     * @param group the consumer group of the source
     * @param startOffsets where a job without a checkpoint starts ({@link Offsets}); other partitions start at their
     *     beginning
     * @param isBounded whether the job ends: then no watermark comes before the end, and no event is late
     */
    public Watermarks(
            String topic,
            String group,
            Properties properties,
            long windowMs,
            long delayMs,
            long idleTimeoutMs,
            String startOffsets,
            boolean isBounded) {
        this.topic = topic;
        this.group = group;
        this.properties = properties;
        this.windowMs = windowMs;
        this.delayMs = delayMs;
        this.idleTimeoutMs = idleTimeoutMs;
        this.startOffsets = startOffsets;
        this.isBounded = isBounded;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        if (getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks() != 1) {
            throw new IllegalStateException("the watermark is made where all partitions meet: in one instance");
        }
        keptWatermark =
                context.getOperatorStateStore()
                        .getListState(new ListStateDescriptor<>("watermark-ms", Types.LONG));
        keptPartitions =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "partitions", PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO));
        watermarkMs = Long.MIN_VALUE;
        for (long restoredMs : keptWatermark.get()) {
            watermarkMs = Math.max(watermarkMs, restoredMs);
        }
        isEmitted = watermarkMs == Long.MIN_VALUE;
        List<long[]> kept = new ArrayList<>();
        keptPartitions.get().forEach(kept::add);
        // A partition that is added later starts at its beginning.
        Map<Integer, Long> starts = kept.isEmpty() ? Offsets.parse(startOffsets) : Map.of();
        partitions = new Partitions(windowMs, delayMs, idleTimeoutMs, starts);
        long nowMs = clockMs();
        kept.forEach(state -> partitions.restore(state, nowMs));
        usesCommitted = kept.isEmpty() && watermarkMs != Long.MIN_VALUE;
        if (usesCommitted) {
            partitions.restore(watermarkMs, nowMs);
        }
    }

    @Override
    public void open() throws Exception {
        super.open();
        String[] folders = getContainingTask().getEnvironment().getTaskManagerInfo().getTmpDirectories();
        WatermarkGauges.ofDisk(getMetricGroup(), new File(folders[0]));
        if (!isBounded) {
            gauges = new WatermarkGauges(getMetricGroup(), this::clockMs, watermarkMs);
            looks = look(topic, usesCommitted ? group : "", properties);
            scheduleTick();
        }
    }

    /** Starts looking at the topic; tests look elsewhere. */
    Looks look(String name, String committedOf, Properties connection) {
        return new TopicEnds(name, committedOf, connection);
    }

    /** The clock of looks, in ms since the epoch. */
    private long clockMs() {
        return getProcessingTimeService().getCurrentProcessingTime();
    }

    private void scheduleTick() {
        getProcessingTimeService()
                .registerTimer(
                        clockMs() + TICK_MS,
                        time -> {
                            tick();
                            scheduleTick();
                        });
    }

    private void tick() {
        long nowMs = clockMs();
        looks.hurry(partitions.wantsLook(nowMs));
        emitKept();
        Look last = looks.last();
        if (last != null) {
            // The source may have come to the end of this look only now.
            partitions.compare(last, nowMs);
        }
        OptionalLong reachedMs = partitions.eventTimeMs(nowMs);
        gauges.show(partitions, last);
        if (reachedMs.isPresent() && !hasEnded) {
            emit(reachedMs.getAsLong() - delayMs);
        }
    }

    /** The watermark of the checkpoint comes before everything else. */
    private void emitKept() {
        if (!isEmitted) {
            isEmitted = true;
            output.emitWatermark(new Watermark(watermarkMs));
        }
    }

    private void emit(long reachedMs) {
        // As in Flink's own bounded disorder: an event of the same millisecond is still on time.
        if (reachedMs - 1 > watermarkMs) {
            watermarkMs = reachedMs - 1;
            gauges.rise(watermarkMs, clockMs());
            output.emitWatermark(new Watermark(watermarkMs));
        }
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        emitKept();
        byte[] bytes = element.getValue();
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        switch (buffer.get()) {
            case PROGRESS:
                partitions.add(buffer.getInt(), buffer.getLong(), buffer.getLong(), clockMs());
                break;
            case PARTIAL:
                long windowStartMs = buffer.getLong();
                output.collect(
                        new StreamRecord<>(
                                Arrays.copyOfRange(bytes, PARTIAL_HEADER_BYTES, bytes.length), windowStartMs));
                break;
            case REFUSED:
                output.collect(
                        REFUSED_TAG, new StreamRecord<>(Arrays.copyOfRange(bytes, 1, bytes.length)));
                break;
            default:
                throw new IllegalStateException("element of unknown kind " + (bytes[0] & 0xff));
        }
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        if (mark.getTimestamp() == Long.MAX_VALUE) {
            // The end of a bounded input is no time that a later job should start from.
            hasEnded = true;
            emitKept();
            super.processWatermark(mark);
        }
    }

    @Override
    public void processWatermarkStatus(WatermarkStatus status) {
        // Idleness is decided here.
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        keptWatermark.update(List.of(watermarkMs));
        keptPartitions.clear();
        for (long[] state : partitions.states()) {
            keptPartitions.add(state);
        }
    }

    @Override
    public void close() throws Exception {
        if (looks != null) {
            looks.close();
        }
        super.close();
    }
}
