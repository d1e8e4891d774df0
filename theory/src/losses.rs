//! x
/// x
pub struct LossComponents;
