//! The clickstream model: an event's number goes in, the event and what it adds to the ground
//! truth come out.
//!
//! Every event is a function of the seed and its number alone, so any process can make any part of
//! the stream, in any order, and the union of the shards is the same for every number of them (the
//! idea of the NEXMark generators). [`truth`] counts what the model meant, without the codec and
//! without the job's aggregation, which makes it an oracle for both.
//!
//! Read [`stream`] first; [`clock`] says when, [`interleaver`] who, [`session`] and [`behaviour`] what they do;
//! [`population`], [`visitor`], [`mixes`] and [`catalogue`] are the population. [`feed`] makes records of it, with the
//! faults of [`fault`].

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
pub mod stream;
pub mod truth;
pub mod visitor;
pub mod weighted;
