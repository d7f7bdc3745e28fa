//! The clickstream model: it takes the number of an event, and returns the event and what the event adds to the ground
//! truth.
//!
//! Every event depends only on the seed and its number. So any process can make any part of the stream, in any order,
//! and all shards together make the same stream, whatever their number (the idea of the NEXMark generators). [`truth`]
//! counts what the model meant. It uses neither the codec nor the job's aggregation, so it is an oracle for both.
//!
//! Read [`stream`] first. [`clock`] decides when events happen, [`interleaver`] who acts, [`session`] and [`behaviour`]
//! what they do. [`population`], [`visitor`], [`mixes`] and [`catalogue`] describe the population. [`feed`] turns the
//! stream into records, with the faults of [`fault`].

pub mod behaviour;
pub mod catalogue;
pub mod clock;
pub mod fault;
pub mod feed;
pub mod interleaver;
pub mod mixes;
pub mod partition;
pub mod population;
pub mod random;
pub mod sent;
pub mod session;
pub mod shop;
pub mod stream;
pub mod truth;
pub mod visitor;
pub mod weighted;
