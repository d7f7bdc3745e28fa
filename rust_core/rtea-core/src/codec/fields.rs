//! The fields of schema version 1 as found, before the rules of [`super::rules`] are applied.
//!
//! Their order is the one of the MessagePack array. A later version may append fields, but must not move one.

use super::raw::{Fields, Fill, FillRows, Scalar, Shape, Token, Values};

/// Names of the event's fields.
pub(super) const EVENT: [&str; 16] = [
    "event_id",
    "event_type",
    "source",
    "event_time",
    "visitor_id",
    "schema_version",
    "session_id",
    "user_id",
    "page_url",
    "referrer",
    "search_term",
    "campaign",
    "device",
    "items",
    "currency",
    "order_id",
];

/// Names of the device's fields.
pub(super) const DEVICE: [&str; 6] = ["os", "app_version", "browser", "screen", "locale", "country"];

/// Names of an item's fields.
pub(super) const ITEM: [&str; 4] = ["product_id", "category", "price", "quantity"];

const DEVICE_PLACE: usize = 12;
const ITEMS_PLACE: usize = 13;

/// The event's fields as found.
#[derive(Default)]
pub(super) struct RawEvent<'a> {
    /// In the order of [`EVENT`]; those of the device and the items are not used.
    pub(super) scalars: [Token<'a>; EVENT.len()],
    pub(super) device: RawDevice<'a>,
    pub(super) device_shape: Shape,
    pub(super) items: Vec<RawItem<'a>>,
    pub(super) items_shape: Shape,
    pub(super) items_are_objects: bool,
}

/// The device's fields as found, in the order of [`DEVICE`].
#[derive(Default)]
pub(super) struct RawDevice<'a>(pub(super) [Token<'a>; DEVICE.len()]);

/// One item's fields as found, in the order of [`ITEM`].
#[derive(Default)]
pub(super) struct RawItem<'a>(pub(super) [Token<'a>; ITEM.len()]);

fn place(names: &[&str], key: &[u8]) -> Option<usize> {
    names.iter().position(|name| name.as_bytes() == key)
}

impl<'de> Fields<'de> for RawEvent<'de> {
    const LEN: usize = EVENT.len();

    fn index(key: &[u8]) -> Option<usize> {
        place(&EVENT, key)
    }

    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error> {
        match index {
            DEVICE_PLACE => {
                self.device = RawDevice::default();
                self.device_shape = values.next(Fill::<_, ARRAYS>(&mut self.device))?;
                Ok(())
            }
            ITEMS_PLACE => {
                let (rows, all_objects) = (&mut self.items, &mut self.items_are_objects);
                self.items_shape = values.next(FillRows::<_, ARRAYS> { rows, all_objects })?;
                Ok(())
            }
            _ => values.next(Scalar(&mut self.scalars[index])),
        }
    }
}

impl<'de> Fields<'de> for RawDevice<'de> {
    const LEN: usize = DEVICE.len();

    fn index(key: &[u8]) -> Option<usize> {
        place(&DEVICE, key)
    }

    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error> {
        values.next(Scalar(&mut self.0[index]))
    }
}

impl<'de> Fields<'de> for RawItem<'de> {
    const LEN: usize = ITEM.len();

    fn index(key: &[u8]) -> Option<usize> {
        place(&ITEM, key)
    }

    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error> {
        values.next(Scalar(&mut self.0[index]))
    }
}
