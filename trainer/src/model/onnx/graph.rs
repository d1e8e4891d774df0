//! The units of a network as operations of ONNX.

use super::super::layer::{Convolution, Dense, EPSILON, Norm};
use super::super::unit::{Block, Unit};
use super::super::{Parameters, Slot};
use super::proto::{self, Attribute, Node, Value};
use crate::error::{Error, Result};
use candle_core::Tensor;

/// A graph that grows from its input to its outputs.
pub struct Graph<'a> {
    parameters: &'a Parameters,
    /// Names and values of all of [`Parameters::all`], in PyTorch's order of dimensions.
    values: Vec<(String, Tensor)>,
    pub graph: proto::Graph,
}

impl<'a> Graph<'a> {
    pub fn new(parameters: &'a Parameters, values: Vec<(String, Tensor)>, name: &str) -> Self {
        let graph = proto::Graph { name: name.into(), ..proto::Graph::default() };
        Self { parameters, values, graph }
    }

    /// `units` one after the other, on the value called `x`; the name of what comes out.
    ///
    /// # Errors
    /// A unit that has no such form.
    pub fn add(&mut self, units: &[Unit], x: String) -> Result<String> {
        units.iter().try_fold(x, |x, unit| self.unit(unit, x))
    }

    /// Makes the value called `from` an output \[batch, `size`\].
    pub fn output(&mut self, from: &str, name: &str, size: usize) {
        let (input, output) = (vec![from.to_string()], vec![name.to_string()]);
        let op_type = "Identity".into();
        self.graph.node.push(Node { input, output, name: name.into(), op_type, attribute: Vec::new() });
        self.graph.output.push(Value::of_batch(name, &[size]));
    }

    fn unit(&mut self, unit: &Unit, x: String) -> Result<String> {
        match unit {
            // Ours are [N, H, W, C]: their numbers have this order once they are flat.
            Unit::Flatten => {
                let x = self.node("Transpose", vec![x], vec![Attribute::integers("perm", [0, 2, 3, 1])]);
                Ok(self.flatten(x))
            }
            Unit::MaxPool => {
                let attributes = vec![
                    Attribute::integers("kernel_shape", [3; 2]),
                    Attribute::integers("pads", [1; 4]),
                    Attribute::integers("strides", [2; 2]),
                ];
                Ok(self.node("MaxPool", vec![x], attributes))
            }
            Unit::Pool => {
                let x = self.node("GlobalAveragePool", vec![x], Vec::new());
                Ok(self.flatten(x))
            }
            Unit::Dense(dense) => self.dense(dense, x),
            Unit::Convolution(convolution) => self.convolution(convolution, x, None, convolution.relu()),
            Unit::Block(block) => self.block(block, x),
            Unit::Autograd(encoder) => Err(Error::argument(format!(
                "encoder = {} is written with candle-nn, which has no way to ONNX",
                encoder.own().name()
            ))),
        }
    }

    fn flatten(&mut self, x: String) -> String {
        self.node("Flatten", vec![x], vec![Attribute::integer("axis", 1)])
    }

    fn dense(&mut self, dense: &Dense, x: String) -> Result<String> {
        let mut inputs = vec![x];
        inputs.extend(self.weights(&dense.weight, 1)?);
        if let Some(bias) = &dense.bias {
            inputs.extend(self.weights(bias, 1)?);
        }
        let mut y = self.node("Gemm", inputs, vec![Attribute::integer("transB", 1)]);
        if let Some(norm) = &dense.norm {
            y = self.norm(norm, y)?;
        }
        Ok(self.rectified(y, dense.relu))
    }

    /// relu?(norm(x ⋆ w) + residual).
    fn convolution(
        &mut self,
        convolution: &Convolution,
        x: String,
        residual: Option<String>,
        relu: bool,
    ) -> Result<String> {
        let Convolution { weight, stride, padding, norm, .. } = convolution;
        // [out, height, width, in].
        let &[_, height, width, _] = weight.shape() else {
            return Err(candle_core::Error::msg("the filter of a convolution has four dimensions").into());
        };
        let attributes = vec![
            Attribute::integers("kernel_shape", [height, width]),
            Attribute::integers("pads", [*padding; 4]),
            Attribute::integers("strides", [*stride; 2]),
        ];
        let mut inputs = vec![x];
        inputs.extend(self.weights(weight, 1)?);
        let z = self.node("Conv", inputs, attributes);
        let mut y = self.norm(norm, z)?;
        if let Some(residual) = residual {
            y = self.node("Add", vec![y, residual], Vec::new());
        }
        Ok(self.rectified(y, relu))
    }

    fn block(&mut self, block: &Block, x: String) -> Result<String> {
        let mut hidden = self.convolution(&block.first, x.clone(), None, true)?;
        if let Some(inner) = &block.inner {
            hidden = self.convolution(inner, hidden, None, true)?;
        }
        let around = match &block.skip {
            Some(skip) => self.convolution(skip, x, None, false)?,
            None => x,
        };
        self.convolution(&block.last, hidden, Some(around), true)
    }

    /// With the running statistics, as in evaluation.
    fn norm(&mut self, norm: &Norm, x: String) -> Result<String> {
        let mut inputs = vec![x];
        inputs.extend(self.weights(&norm.affine, 2)?);
        inputs.extend(self.weights(&norm.running, 2)?);
        let epsilon = Attribute::float("epsilon", EPSILON as f32);
        Ok(self.node("BatchNormalization", inputs, vec![epsilon]))
    }

    fn rectified(&mut self, x: String, relu: bool) -> String {
        if relu { self.node("Relu", vec![x], Vec::new()) } else { x }
    }

    /// Adds an operation; the name of its output.
    fn node(&mut self, operation: &str, input: Vec<String>, attribute: Vec<Attribute>) -> String {
        let name = format!("{operation}_{}", self.graph.node.len());
        let (output, op_type) = (vec![name.clone()], operation.into());
        self.graph.node.push(Node { input, output, name: name.clone(), op_type, attribute });
        name
    }

    /// Adds the `count` parameters that lie in a slot; their names.
    fn weights(&mut self, slot: &Slot, count: usize) -> Result<Vec<String>> {
        let first = self.parameters.position(slot);
        let found = first.and_then(|first| self.values.get(first..first + count));
        let found = found.ok_or_else(|| candle_core::Error::msg("a layer of another network"))?;
        let mut names = Vec::new();
        for (name, tensor) in found {
            let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
            self.graph.initializer.push(proto::Tensor {
                dims: tensor.dims().iter().map(|&size| size as i64).collect(),
                data_type: proto::FLOAT,
                name: name.clone(),
                raw_data: numbers.into_iter().flat_map(f32::to_le_bytes).collect(),
            });
            names.push(name.clone());
        }
        Ok(names)
    }
}
