/** What a link is taken for whose rate nobody has measured: 100 Mbit/s, as Petals does. */
export const UNKNOWN_BYTES_PER_SECOND = 12.5e6

/** What a round trip is taken for that nobody has measured; Petals' figure. */
export const UNKNOWN_RTT_MS = 150

/** What a token of a block is taken to cost on a server of unknown speed. */
export const UNKNOWN_BLOCK_SECONDS = 0.005
