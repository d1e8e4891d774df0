use super::*;
use std::collections::VecDeque;

#[test]
fn the_oldest_keys_go_first_also_around_the_end() {
    let mut queue = Queue::new(7, 1, 3, &Device::Cpu).unwrap();
    let first = queue.keys.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(first.iter().all(|v| (v.abs() - 1.0).abs() < 1e-6));
    let mut model: VecDeque<(f32, u32)> = first.iter().map(|v| (*v, UNKNOWN)).collect();
    let mut number = 0;
    for count in [3usize, 3, 3, 7, 1, 5] {
        let batch: Vec<u32> = (number..number + count as u32).collect();
        number += count as u32;
        let keys: Vec<f32> = batch.iter().map(|v| *v as f32).collect();
        queue.push(&Tensor::from_vec(keys, (count, 1), &Device::Cpu).unwrap(), &batch).unwrap();
        for &value in &batch {
            model.pop_front();
            model.push_back((value as f32, value));
        }
        let keys = queue.keys.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let by_age: Vec<(f32, u32)> = (0..7)
            .map(|age| (queue.next + age) % 7)
            .map(|place| (keys[place], queue.classes[place]))
            .collect();
        assert_eq!(by_age, Vec::from(model.clone()), "after {count} more");
    }
    assert!(queue.push(&Tensor::zeros((8, 1), DType::F32, &Device::Cpu).unwrap(), &[0; 8]).is_err());
    assert!(queue.push(&Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap(), &[0; 2]).is_err());
}

#[test]
fn a_checkpoint_of_another_queue_is_refused() {
    let (one, other) =
        (Queue::new(10, 5, 7, &Device::Cpu).unwrap(), Queue::new(12, 5, 7, &Device::Cpu).unwrap());
    let tensors: Vec<_> = one.tensors().unwrap().into();
    let get = |name: &str| tensors.iter().find(|(known, _)| *known == name).map(|(_, t)| t.clone());
    assert_eq!(one.read(get).unwrap().classes, one.classes);
    assert!(other.read(get).unwrap_err().contains("'queue.keys'"));
    assert!(one.read(|_| None).unwrap_err().contains("it has no"));
}
