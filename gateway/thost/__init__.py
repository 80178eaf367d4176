"""What the counters of the ThostFtdc family share, for plugins that bring one of their libraries.

CTP (futures), SOPT (stock options) and their look-alikes have one API: SWIG wrappers with ``CThostFtdcMdApi``,
``CThostFtdcMdSpi``, ``CThostFtdcTraderApi``, the same life cycle, the same ways to kill their process. They differ in
the layout of the tick struct, in the module's name, in exchanges and hours. This room has what is the same and imports
no vendor's library; a plugin describes the rest (:class:`gateway.thost.family.Family`) and subclasses
:class:`gateway.thost.source.ThostSource`.
"""
