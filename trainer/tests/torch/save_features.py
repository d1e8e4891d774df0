import numpy as np
import torch


@torch.no_grad()
def save_features(path, model, augment, images, labels, train_images, train_labels, views=10):
    def embed(images):  # one random view of every image: unit rows [N, d]
        rows = [model(augment(batch)) for batch in images.split(512)]
        return torch.nn.functional.normalize(torch.cat(rows).float(), dim=1).cpu().numpy()

    model.eval()
    train = np.concatenate([embed(train_images) for _ in range(views)])
    mean = sum(embed(images) for _ in range(views)) / views
    np.savez(path, view1=embed(images), view2=embed(images), labels=np.asarray(labels), mean=mean,
             train=train, train_labels=np.tile(train_labels, views))
