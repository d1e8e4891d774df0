//! AG News in its four classes, and in eight latent ones. MD5: `torchtext/datasets/ag_news.py` (pytorch/text 01085ab).
//! Lengths: those that downloads by others report; both of `test.csv` were also compared with the file itself.

use super::DataSet;
use crate::data::official::{OfficialFile, OfficialFiles};
use crate::data::{ag_news, news};

pub(crate) static FILES: OfficialFiles = OfficialFiles {
    name: "ag-news",
    terms: "research and other non-commercial use; cite Zhang, Zhao, LeCun (2015)",
    addresses: &["https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"],
    files: &[
        OfficialFile { name: "train.csv", bytes: 29_470_338, md5: "b1a00f826fdfbd249f79597b59e1dc12" },
        OfficialFile { name: "test.csv", bytes: 1_857_427, md5: "d52ea96a97a2d943681189a97654912d" },
    ],
    others: &[],
    places: &["ag_news", "ag_news_csv", "ag-news", ""],
};

pub static AG_NEWS: DataSet = DataSet {
    name: "ag-news",
    samples: "120,000 + 7,600 texts",
    num_classes: Some(ag_news::NUM_CLASSES),
    official: Some(&FILES),
    hierarchy: None,
    load: |request| request.cut(news::load(request, &FILES)?),
};

pub static AG_NEWS_8: DataSet = DataSet {
    name: "ag-news-8",
    samples: "the same texts by latent class",
    num_classes: Some(ag_news::NUM_CLASSES * news::CLUSTERS_PER_CLASS),
    official: Some(&FILES),
    hierarchy: None,
    load: |request| request.cut(news::load_latent(request, &FILES)?),
};
