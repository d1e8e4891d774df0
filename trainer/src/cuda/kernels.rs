//! The launches of every kernel, which lie beside the operations that they serve.

#[path = "../ops/batch_norm/cuda.rs"]
pub mod batch_norm;
#[path = "../ops/cast/cuda.rs"]
pub mod cast;
#[path = "../ops/conv/cuda.rs"]
pub mod conv;
#[path = "../ops/info_nce/cuda.rs"]
pub mod info_nce;
#[path = "../ops/linear/cuda.rs"]
pub mod linear;
#[path = "../ops/normalise/cuda.rs"]
pub mod normalise;
#[path = "../ops/optimiser/cuda.rs"]
pub mod optimiser;
#[path = "../ops/pool/cuda.rs"]
pub mod pool;
