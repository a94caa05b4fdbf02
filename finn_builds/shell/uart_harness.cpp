// The serial shell behind a pseudo-terminal. Prints the terminal's name, then runs until its
// standard input ends. An "r" on that resets the board, and a "b" is answered with a line: 1 while
// it is busy, 0 while nothing moves.
//
// The host's rate is the one that the terminal is set to: at another rate than the board's, bits
// have the wrong length, as they would on a cable. While nothing moves the simulation rests.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <memory>

#include "Vuart.h"
#include "verilated.h"

#ifndef PRUNESTREAM_BAUD
#error "the board's rate is missing"
#endif

namespace {

const std::map<speed_t, double> kRates = {
    {B9600, 9600},       {B19200, 19200},     {B38400, 38400},     {B57600, 57600},
    {B115200, 115200},   {B230400, 230400},   {B460800, 460800},   {B500000, 500000},
    {B921600, 921600},   {B1000000, 1000000}, {B1500000, 1500000}, {B2000000, 2000000},
    {B3000000, 3000000},
};

// Clock cycles of one bit at the host.
double HostBit(int terminal) {
    termios set;
    if (tcgetattr(terminal, &set) != 0) return PRUNESTREAM_CLOCKS;
    const auto rate = kRates.find(cfgetospeed(&set));
    if (rate == kRates.end()) return PRUNESTREAM_CLOCKS;
    return PRUNESTREAM_CLOCKS * (double(PRUNESTREAM_BAUD) / rate->second);
}

}  // namespace

int main() {
    const int host = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (host < 0 || grantpt(host) != 0 || unlockpt(host) != 0) return 1;
    const int terminal = open(ptsname(host), O_RDWR | O_NOCTTY);  // so that it never hangs up
    termios raw;
    if (terminal < 0 || tcgetattr(terminal, &raw) != 0) return 1;
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    std::printf("%s\n", ptsname(host));
    std::fflush(stdout);

    auto top = std::make_unique<Vuart>();
    auto clock = [&] {
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
    };
    auto reset = [&] {
        top->rst_n = 0;
        for (int i = 0; i < 20; ++i) clock();
        top->rst_n = 1;
    };
    top->rx = 1;
    reset();

    unsigned sending = 0;  // bits that the host still sends, the next one lowest, with a 1 on top
    double send_left = 0;
    int receiving = -1;  // the bit that the host samples next, -1 between bytes
    double receive_left = 0;
    unsigned byte = 0;
    double bit = HostBit(terminal);
    unsigned long tick = 0;
    unsigned long quiet = 0;  // cycles in which nothing moves

    for (;; ++tick) {
        if (sending == 0 && (quiet > 4096 || tick % 32 == 0)) {
            unsigned char next;
            if (read(host, &next, 1) == 1) {
                bit = HostBit(terminal);
                sending = (next << 1) | 0x600;  // start bit, data, stop bit, mark
                send_left = bit;
                quiet = 0;
            }
        }
        if (sending > 1) {
            top->rx = sending & 1;
            if (--send_left <= 0) {
                send_left += bit;
                sending >>= 1;
                if (sending == 1) {
                    sending = 0;
                    top->rx = 1;
                }
            }
        }
        clock();
        if (receiving < 0) {
            if (!top->tx) {
                bit = HostBit(terminal);
                receiving = 0;
                receive_left = 1.5 * bit;
                byte = 0;
            }
        } else if (--receive_left <= 0) {
            receive_left += bit;
            if (receiving < 8) {
                byte |= unsigned(top->tx) << receiving;
                ++receiving;
            } else {
                const unsigned char out = static_cast<unsigned char>(byte);
                while (write(host, &out, 1) != 1) {
                    pollfd wait = {host, POLLOUT, 0};
                    if (poll(&wait, 1, 1000) <= 0) break;  // nobody reads
                }
                receiving = -1;
            }
        }
        quiet = top->busy || receiving >= 0 || sending ? 0 : quiet + 1;
        if (quiet > 4096 || tick % 65536 == 0) {
            pollfd wait[2] = {{0, POLLIN, 0}, {host, POLLIN, 0}};
            poll(wait, 2, quiet > 4096 ? 20 : 0);
            if (wait[0].revents) {
                char command;
                if (read(0, &command, 1) <= 0) return 0;
                if (command == 'r') reset();
                if (command == 'b') {
                    std::printf("%d\n", quiet <= 4096 || (wait[1].revents & POLLIN) != 0);
                    std::fflush(stdout);
                }
            }
        }
    }
}
