package kernel

var goldenHashes = [8]uint64{
	0xc9d874ca57d9e055, 0x8e1a4acd601c1d69, 0xc3b124ef239726de, 0xe49b10874fc24054,
	0x4e65962b0123a8d1, 0xc5c8e6e230f59f92, 0xfd95a0ef1ab6512f, 0xbd6066e6b2aeea0d,
}
