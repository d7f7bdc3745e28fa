package rivals;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** An event as a Java developer would declare it for Jackson, with the checks that RTEA makes of these fields. */
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Event {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Pattern TYPE = Pattern.compile("[a-z][a-z0-9_]{0,63}");

    @JsonProperty("event_type")
    public String eventType;

    public String source;

    @JsonProperty("event_time")
    public long eventTimeMs;

    @JsonProperty("visitor_id")
    public String visitorId;

    public List<Item> items = new ArrayList<>();
    public String currency = "USD";

    /** A line of a purchase. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Item {
        public String category;
        public BigDecimal price;
        public int quantity = 1;

        /** Price times quantity in hundredths. */
        public long minorUnits() {
            return price.movePointRight(2).longValueExact() * quantity;
        }
    }

    /** Reads an event; throws if it is none. */
    public static Event parse(byte[] json) throws IOException {
        Event event = MAPPER.readValue(json, Event.class);
        boolean isValid =
                event != null
                        && event.eventType != null
                        && TYPE.matcher(event.eventType).matches()
                        && ("mobile".equals(event.source) || "website".equals(event.source))
                        && event.visitorId != null
                        && event.eventTimeMs > 0;
        if (!isValid) {
            throw new IOException("not an event");
        }
        return event;
    }

    public boolean isPurchase() {
        return eventType.equals("purchase");
    }

    /** Event type and source, as the rows name it. */
    public String kind() {
        return eventType + "_" + source;
    }
}
