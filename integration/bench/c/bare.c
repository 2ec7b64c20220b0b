// SPDX-License-Identifier: Apache-2.0
// A C program that does nothing: the least that any process costs.
int main(void) { return 0; }
