"""Everybody who takes part, in the order of the tables."""

from benchmarks.peers import ncnn_cpu, ours, publisher, runtimes, spandrel_tiles
from benchmarks.peers.case import Contender

CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for module in (ours, publisher, spandrel_tiles, runtimes, ncnn_cpu)
    for contender in module.CONTENDERS
}
