"""A flow meter on Modbus RTU by pymodbus, which knows nothing of the agent: unit 7 on the
port that is named, 9600 8N1, with the count that is named."""

import asyncio
import struct
import sys

from pymodbus.datastore import (
    ModbusDeviceContext,
    ModbusSequentialDataBlock,
    ModbusServerContext,
)
from pymodbus.framer import FramerType
from pymodbus.server import StartAsyncSerialServer


def words(fmt, value):
    raw = struct.pack(fmt, value)
    return list(struct.unpack(">%dH" % (len(raw) // 2), raw))


def registers(count):
    table = [0] * 700
    table[0x10:0x14] = words(">Q", count)
    table[0x20:0x22] = list(reversed(words(">f", 2.5)))  # L/min, low register first
    table[0x30] = words(">h", -125)[0]  # a tenth of a degree Celsius
    table[0x40:0x44] = [0x4D2D, 0x3432, 0x3000, 0]  # "M-420"
    return table


# A block at 1 puts its first value at wire address 0.
holding = ModbusSequentialDataBlock(1, registers(int(sys.argv[2])))
asyncio.run(
    StartAsyncSerialServer(
        ModbusServerContext({7: ModbusDeviceContext(hr=holding)}, single=False),
        port=sys.argv[1],
        framer=FramerType.RTU,
        baudrate=9600,
        bytesize=8,
        parity="N",
        stopbits=1,
    )
)
