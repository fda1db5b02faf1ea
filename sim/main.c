/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/command.h"

int main(int argc, char **argv) {
    return mkv_command_main(argc, argv);
}
