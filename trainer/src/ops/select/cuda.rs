//! On an NVIDIA GPU: one launch decides which candidates of every anchor count, a second adds up their classes.

use crate::device::launch::{
    Argument, MOST_PARTS, Module, NULL, Rules, int, launch, read, read_optional, uninitialised, whole,
};
use crate::device::operand;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDType;
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Layout, Result, Storage, Tensor, bail};
use cudarc::driver::{CudaView, LaunchConfig};
use measure::rng::philox::Counter;

const MODULE: Module = Module { name: "select", ptx: include_str!(concat!(env!("OUT_DIR"), "/select.ptx")) };

/// `THREADS` of kernel.cu.
const THREADS: u32 = 512;
/// Candidates of an anchor: a thread's next index stays an `int`.
const MOST_COLUMNS: usize = 1 << 30;

/// What decides, by the rules of [`super`].
pub struct Selecting<'a> {
    /// \[A, M\], f32.
    pub cosines: &'a Tensor,
    /// n: anchor i is of sample i mod n; so is candidate i, but for keys of a queue.
    pub samples: usize,
    /// Whether the candidates are keys of a queue.
    pub from_queue: bool,
    /// K, where negatives are drawn.
    pub num_sampled: Option<usize>,
    /// Whether the anchor's class is left out.
    pub other_classes: bool,
    /// The random numbers of the step and its number on the device, u32 \[1\], where anything is random.
    pub step: Option<(Counter, Tensor)>,
    /// Kept parts \[lo, hi) of the ranks in units of 10⁻⁸; none: all.
    pub parts: &'a [[u32; 2]],
    /// Whether ranks are those of random words.
    pub by_words: bool,
    /// Of the n samples and of the candidates' samples or keys, u32; where classes are looked at.
    pub classes: Option<[Tensor; 2]>,
    /// What is wanted.
    pub wants: Wants,
}

/// What [`select`] finds.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    /// The masks.
    pub masks: bool,
    /// The count.
    pub counts: bool,
}

/// What [`select`] found.
pub struct Found {
    /// \[A, M\], f32: 1 where a candidate counts, else 0; and the logarithms of these.
    pub masks: Option<[Tensor; 2]>,
    /// How many that count have their anchor's class, and how many a known class; i64 \[2\].
    pub count: Option<Tensor>,
}

/// Which candidates count. Nothing is copied from or to the host.
///
/// # Errors
/// Shapes or lengths that do not fit each other, tensors on the host, no memory, or a launch fails.
pub fn select(request: &Selecting<'_>) -> Result<Found> {
    let (rows, columns) = request.cosines.dims2()?;
    let cosines = request.cosines.contiguous()?;
    let (cosines, layout) = cosines.storage_and_layout();
    let cosines = on_device(&cosines)?;
    let device = cosines.device();
    let cosines = slice::<f32>(cosines, layout, rows * columns)?;
    let step = request.step.as_ref().map(|(_, step)| step.storage_and_layout());
    let step = step.as_ref().map(|(step, layout)| slice::<u32>(on_device(step)?, layout, 1)).transpose()?;
    let classes = request.classes.as_ref().map(|both| both.each_ref().map(Tensor::storage_and_layout));
    let num_classes = if request.from_queue { columns } else { request.samples };
    let of = |which: usize, length: usize| {
        let found = classes.as_ref().map(|both| &both[which]);
        found.map(|(found, layout)| slice::<u32>(on_device(found)?, layout, length)).transpose()
    };
    let (of_anchors, of_candidates) = (of(0, request.samples)?, of(1, num_classes)?);
    let rules = rules(request, rows, columns)?;
    if of_anchors.is_none() && (rules.other_classes != 0 || request.wants.counts) {
        bail!("the classes of the samples are needed on the device");
    }
    if step.is_none() && (rules.num_sampled > 0 || rules.by_words != 0) {
        bail!("the number of the step is needed on the device");
    }
    let masks = match request.wants.masks {
        true => Some([uninitialised::<f32>(device, rows * columns)?, uninitialised(device, rows * columns)?]),
        false => None,
    };
    let counts = request.wants.counts.then(|| device.alloc_zeros::<i64>(2 * rows)).transpose()?;
    let [is_negative, added] = match &masks {
        Some([is_negative, added]) => [whole(device, is_negative), whole(device, added)],
        None => [NULL; 2],
    };
    let arguments = [
        read(device, &cosines),
        read_optional(device, step.as_ref()),
        read_optional(device, of_anchors.as_ref()),
        read_optional(device, of_candidates.as_ref()),
        Argument::Rules(rules),
        is_negative,
        added,
        counts.as_ref().map_or(NULL, |counts| whole(device, counts)),
    ];
    launch(device, MODULE, "select_rows", blocks(rows.min(1 << 16)), &arguments)?;
    let count = match &counts {
        Some(counts) => {
            let total = device.alloc_zeros::<i64>(2)?;
            let arguments = [whole(device, counts), whole(device, &total), Argument::I32(rules.rows)];
            launch(device, MODULE, "select_total", blocks(1), &arguments)?;
            let total = Storage::Cuda(CudaStorage::wrap_cuda_slice(total, device.clone()));
            Some(Tensor::from_storage(total, 2, BackpropOp::none(), false))
        }
        None => None,
    };
    let masks = masks.map(|masks| masks.map(|mask| operand::tensor(device, mask, (rows, columns))));
    Ok(Found { masks, count })
}

fn rules(request: &Selecting<'_>, rows: usize, columns: usize) -> Result<Rules> {
    let Selecting { samples, from_queue, num_sampled, parts, .. } = *request;
    let fits = columns <= MOST_COLUMNS
        && parts.len() <= MOST_PARTS
        && num_sampled.is_none_or(|k| (1..columns).contains(&k) && columns == samples && !from_queue)
        && (rows == samples || rows == 2 * samples)
        && (from_queue || columns == rows);
    if !fits {
        bail!(
            "cosines [{rows}, {columns}] of {samples} samples, {num_sampled:?} drawn, {} parts: they do not fit",
            parts.len()
        );
    }
    let mut kept = [[0; 2]; MOST_PARTS];
    kept[..parts.len()].copy_from_slice(parts);
    let (key, purpose) =
        request.step.as_ref().map_or(([0; 2], 0), |(counter, _)| (counter.key(), counter.tag()));
    Ok(Rules {
        key,
        purpose,
        rows: int("anchors", rows)?,
        columns: int("candidates", columns)?,
        samples: int("samples", samples)?,
        from_queue: i32::from(from_queue),
        num_sampled: int("K", num_sampled.unwrap_or(0))?,
        other_classes: i32::from(request.other_classes),
        by_words: i32::from(request.by_words),
        num_parts: int("parts", parts.len())?,
        parts: kept,
    })
}

/// As many blocks as both kernels want them.
fn blocks(count: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: (count as u32, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
}

fn on_device(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => bail!("a tensor of a selection lies on another device than the cosines"),
    }
}

/// The elements of a tensor of this length.
fn slice<'a, T: CudaDType>(
    storage: &'a CudaStorage,
    layout: &Layout,
    length: usize,
) -> Result<CudaView<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) if end - start == length => Ok(T::as_cuda_slice(storage)?.slice(start..end)),
        _ => bail!("a tensor of a selection has shape {:?}, not {length} elements in a row", layout.dims()),
    }
}
