package rtea;

import java.util.List;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * Keeps the watermark in checkpoints, which Flink itself does not, and repeats it before the first
 * record after a recovery: otherwise events that are late beyond the allowed lateness would open
 * their window again. Stands before the windows, in one instance, where the watermarks of all
 * partitions are one.
 */
public final class WatermarkKeeper extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<byte[], byte[]> {
    private static final long serialVersionUID = 1L;

    private transient ListState<Long> kept;
    private transient long watermarkMs;
    private transient boolean isRepeated;

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        kept =
                context.getOperatorStateStore()
                        .getListState(new ListStateDescriptor<>("watermark-ms", Types.LONG));
        watermarkMs = Long.MIN_VALUE;
        for (long restoredMs : kept.get()) {
            watermarkMs = restoredMs;
        }
        isRepeated = watermarkMs == Long.MIN_VALUE;
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        kept.update(List.of(watermarkMs));
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        if (!isRepeated) {
            isRepeated = true;
            output.emitWatermark(new Watermark(watermarkMs));
        }
        output.collect(element);
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        if (mark.getTimestamp() <= watermarkMs) {
            return;
        }
        isRepeated = true;
        if (mark.getTimestamp() < Long.MAX_VALUE) {
            // The end of a bounded input is no time that a later job should start from.
            watermarkMs = mark.getTimestamp();
        }
        super.processWatermark(mark);
    }
}
