/** What the second end gives: logits, or hidden states after the last norm, without loading the head. */
export type EndsOutput = 'logits' | 'hidden'
