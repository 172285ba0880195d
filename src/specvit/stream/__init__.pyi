"""What type checkers see of `specvit.stream`, whose names are loaded when first used."""

from specvit.stream.daskmaps import predict_dask as predict_dask
from specvit.stream.lsdbmaps import predict_lsdb as predict_lsdb
from specvit.stream.opening import open_source as open_source
from specvit.stream.predicting import Part as Part
from specvit.stream.predicting import predict_parts as predict_parts
from specvit.stream.streaming import StreamSummary as StreamSummary
from specvit.stream.streaming import predict_stream as predict_stream

__all__: list[str]
