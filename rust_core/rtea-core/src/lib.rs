//! RTEA's hot path, as pure functions: no Python, no I/O, no clock.
//!
//! The Flink job passes packed batches of Kafka records (see [`pack`]), and the generator passes events to encode. The
//! results are partial aggregates, results of windows, dead letters and encoded events.
//!
//! An event passes the modules in this order: [`pack`] (bytes of one batch) → [`codec`] (bytes to [`event::Event`], or
//! a [`reject::Reject`]) → [`fold`] (a batch to one partial) → [`aggregate`] (partials merge, as [`state`] bytes) →
//! [`result`] (rows of a finished window).

pub mod aggregate;
pub mod codec;
pub mod dimension;
pub mod event;
pub mod fold;
pub mod frame;
pub mod letter;
pub mod metrics;
pub mod observation;
pub mod order;
pub mod pack;
pub mod part;
pub mod progress;
pub mod refused;
pub mod reject;
pub mod result;
pub mod sketch;
pub mod source;
pub mod state;
